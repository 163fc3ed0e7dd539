"""What a Virtuous contact says, in the words of the model. Total: what cannot be read is warned about."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from keepstep.model.contact import Address, CrmContact, Individual, Method
from keepstep.model.custom import CustomField, Kind
from keepstep.model.instant import Instant, parse_instant

PLATFORM = "virtuous"
# Import and method types by kind of phone (Virtuous facts 7.3).
PHONE_TYPES = {"mobile": "Mobile Phone", "home": "Home Phone", "work": "Work Phone", "other": "Other Phone"}
EMAIL_TYPE = "Home Email"
LABELS = {"home": "Home", "work": "Work", "other": "Other"}
# Python refuses to write out integers of thousands of digits, and no id or amount is larger.
LARGEST = 10**18
ADDRESS_PARTS = ("city", "state", "postal", "country")
# The wire's words and the guides' ones; the set is open (Virtuous facts 7.5).
FIELD_KINDS: Mapping[str, Kind] = {
    "text": "text",
    "date": "date",
    "datetime": "datetime",
    "number": "number",
    "decimal": "number",
    "currency": "number",
    "boolean": "boolean",
    "list": "single",
    "dropdown": "single",
}


class Reader:
    """One JSON object, read field by field; what cannot be read is None and leaves a warning."""

    def __init__(self, raw: object, warnings: list[str], where: str = "") -> None:
        self._where = where
        self.warnings = warnings
        self._raw: Mapping[str, Any] = {}
        if _is_object(raw):
            self._raw = raw
        else:
            self._warn("", raw)

    def text(self, name: str) -> str | None:
        """A string, also where the wire has a number (Virtuous facts 6). Empty is None."""
        value = self._raw.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return value.strip() or None
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST:
            return str(value)
        self._warn(name, value)
        return None

    def flag(self, name: str) -> bool | None:
        """A boolean, also as a word."""
        value = self._raw.get(name)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false", ""):
            return {"true": True, "false": False}.get(value.strip().lower())
        self._warn(name, value)
        return None

    def id(self, name: str = "id") -> str | None:
        """A record id as text, whichever way it is written; 0 names nothing."""
        value = self._raw.get(name)
        if (read := record_id(value)) is None and value not in (0, "0", ""):
            self._warn(name, value)
        return read

    def moment(self, name: str) -> Instant | None:
        """A stamp; without zone it is UTC (Virtuous facts 6)."""
        value = self._raw.get(name)
        if value is None:
            return None
        read = parse_instant(value)
        if read is None and value != "":
            self._warn(name, value)
        return read

    def items(self, name: str) -> list["Reader"]:
        """The objects of a list; null is no object (Virtuous facts 7.2: contactMethods may be null)."""
        return [Reader(item, self.warnings, f"{name}.") for item in self.values(name)]

    def values(self, name: str) -> list[Any]:
        """The values of a list."""
        value = self._raw.get(name)
        if isinstance(value, list):
            return value
        self._warn(name, value)
        return []

    def has(self, name: str) -> bool:
        """Whether the record speaks of this at all."""
        return self._raw.get(name) is not None

    def __getitem__(self, name: str) -> Any:
        return self._raw.get(name)

    def _warn(self, name: str, value: object) -> None:
        if value is not None:
            self.warnings.append(f"unreadable: {self._where}{name or 'record'} is {type(value).__name__}")


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Nearly always one or the other of the first two, which are told in no time."""
    return isinstance(value, dict) or (not isinstance(value, str) and isinstance(value, Mapping))


def record_id(value: object) -> str | None:
    """A vendor's integer id as text; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return text if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else None
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < LARGEST
    return str(value) if whole else None


@lru_cache(maxsize=256)
def kind_of(method_type: str) -> str:
    """email, phone or other by the vendor's word: Fax, Web and the social ones are other (Virtuous facts 7.3)."""
    word = method_type.strip().lower()
    return next((kind for kind in ("email", "phone") if word.endswith(kind)), "other")


def phone_kind(method_type: str) -> str:
    """mobile, home, work or other."""
    word = method_type.strip().lower().removesuffix("phone").strip()
    return word if word in PHONE_TYPES else "other"


def snapshot(raw: object, read_at: Instant) -> CrmContact:
    """A contact as FullContact, GET, POST or a delivery shows it (Virtuous facts 7, 13.3)."""
    warnings: list[str] = []
    read = Reader(raw, warnings)
    return CrmContact(
        record_id=read.id() or _nameless(warnings),
        read_at=read_at,
        contact_type=read.text("customContactType") or read.text("contactType"),
        name=read.text("name"),
        individuals=tuple(_individual(item) for item in read.items("contactIndividuals")),
        address=next(iter(addresses(read)), None),
        tags=_tags(read),
        references=_references(read),
        merged_into=read.id("mergedIntoContactId"),
        archived=bool(read.flag("isArchived")),
        custom_fields=custom_fields(read),
        created_at=read.moment("createDateTimeUtc"),
        updated_at=read.moment("modifiedDateTimeUtc"),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def primary(contact: CrmContact) -> Individual | None:
    """The person that a household's own fields speak of."""
    return next((person for person in contact.individuals if person.primary), next(iter(contact.individuals), None))


def method_of(person: Individual | None, kind: str) -> Method | None:
    """The primary method of a kind, else the first."""
    found = [method for method in person.methods if method.kind == kind] if person else []
    return next((method for method in found if method.primary), next(iter(found), None))


def addresses(read: Reader) -> list[Address]:
    """All that the record shows, the primary one first; deliveries have another key (Virtuous facts 7.4)."""
    if read.has("address"):
        return [_address(Reader(read["address"], read.warnings, "address."))]
    found = sorted(read.items("contactAddresses"), key=lambda item: item.flag("isPrimary") is not True)
    return [_address(item) for item in found]


def custom_fields(read: Reader) -> tuple[tuple[str, str], ...]:
    """Names and values, from the API's list or a delivery's object (Virtuous facts 7.5); without empty ones."""
    value = read["customFields"]
    pairs: Iterable[tuple[Any, Reader]]
    if isinstance(value, Mapping):
        one = Reader(value, read.warnings, "customFields.")
        return _sorted((str(name), _custom_value(one, name)) for name in value)
    pairs = [(item.text("name"), item) for item in read.items("customFields")]
    return _sorted((name, _custom_value(item, "value")) for name, item in pairs if name)


def field(raw: object) -> CustomField | None:
    """A custom field's definition; None without a name, by which alone it can be addressed (Virtuous facts 7.5)."""
    read = Reader(raw, [])
    if (name := read.text("name")) is None:
        return None
    options = (Reader({"option": option}, []).text("option") for option in read.values("options"))
    return CustomField(
        field_id=name,
        names=tuple(dict.fromkeys((name, read.text("displayName") or name))),
        kind=FIELD_KINDS.get((read.text("dataType") or "").lower(), "other"),
        choices={option: option for option in options if option},
    )


def street(read: Reader) -> str | None:
    """Both address lines as one."""
    return ", ".join(line for line in (read.text("address1"), read.text("address2")) if line) or None


def _sorted(pairs: Iterable[tuple[str, str | None]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in pairs if value is not None))


def _custom_value(read: Reader, name: str) -> str | None:
    """Values are strings on the wire, "true" for a boolean (Virtuous facts 7.5)."""
    value = read[name]
    return str(value).lower() if isinstance(value, bool) else read.text(name)


def _nameless(warnings: list[str]) -> str:
    warnings.append("no_id")
    return ""


def _individual(read: Reader) -> Individual:
    return Individual(
        record_id=read.id() or "",
        first_name=read.text("firstName"),
        last_name=read.text("lastName"),
        suffix=read.text("suffix"),
        primary=bool(read.flag("isPrimary")),
        deceased=bool(read.flag("isDeceased")),
        methods=tuple(method for item in read.items("contactMethods") if (method := _method(item))),
    )


def _method(read: Reader) -> Method | None:
    """A method of a delivery may lack id and consent (Virtuous facts 13.3); one without a value reaches nobody."""
    value, word = read.text("value"), read.text("type") or ""
    if value is None:
        return None
    return Method(
        record_id=read.id() or "",
        kind=kind_of(word),
        type=word,
        value=value,
        opted_in=read.flag("isOptedIn"),
        primary=bool(read.flag("isPrimary")),
        created_at=read.moment("createDateTimeUtc"),
        updated_at=read.moment("modifiedDateTimeUtc"),
        other_hand=_other_hand(read.text("createdByUser"), read.text("modifiedByUser")),
    )


def _other_hand(maker: str | None, changer: str | None) -> bool:
    """Who changed a method last is named beside its stamps (Virtuous facts 7.3, 14)."""
    return maker is not None and changer is not None and maker != changer


def _address(read: Reader) -> Address:
    city, state, postal, country = (read.text(part) for part in ADDRESS_PARTS)
    kind = _address_kind(read.text("label") or "")
    return Address(
        kind=kind, street=street(read), city=city, state=state, postal=postal, country=country, record_id=read.id()
    )


def _address_kind(label: str) -> str:
    """Labels are free text; imports write "Imported Address" (Virtuous facts 7.4)."""
    word = label.lower()
    if not word or "home" in word or "imported" in word:
        return "home"
    return "work" if any(part in word for part in ("work", "business", "office")) else "other"


def _tags(read: Reader) -> tuple[str, ...]:
    """Names as strings, or in objects as the recipe's code has them (Virtuous facts 7.1)."""
    names: list[str] = []
    for value in read.values("tags"):
        is_object = _is_object(value)
        one = Reader(value if is_object else {"tag": value}, read.warnings, "tags.")
        keys = ("tag", "name", "tagName") if is_object else ("tag",)
        if name := next((text for key in keys if (text := one.text(key))), None):
            names.append(name)
    return tuple(sorted(dict.fromkeys(names)))


def _references(read: Reader) -> tuple[tuple[str, str], ...]:
    """Several with one source are possible: a household of two subscribers (Virtuous facts 7.5)."""
    pairs = [(item.text("source") or item.text("referenceSource"), item) for item in read.items("contactReferences")]
    read_pairs = [(source, item.text("id") or item.text("referenceId")) for source, item in pairs]
    return tuple(dict.fromkeys((source, name) for source, name in read_pairs if source and name))
