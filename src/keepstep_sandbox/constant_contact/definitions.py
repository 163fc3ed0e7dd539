"""What an account defines besides its people: lists, tags, custom fields. Moments are whole epoch seconds."""

from dataclasses import dataclass, field

# CC facts 6.4; all but the first two came in 2025.
TYPES = (
    "string",
    "date",
    "datetime",
    "currency",
    "text_area",
    "number",
    "boolean",
    "single_select",
    "multi_select",
)
SELECTS = ("single_select", "multi_select")


@dataclass(slots=True, eq=False)
class ContactList:
    """A list; its members are found on the contacts."""

    list_id: str
    name: str
    created: int
    updated: int
    description: str | None = None
    favorite: bool = False
    deleted: int | None = None


@dataclass(slots=True, eq=False)
class Tag:
    """A tag; who has it is found on the contacts."""

    tag_id: str
    name: str
    created: int
    updated: int


@dataclass(slots=True, eq=False)
class Choice:
    """One choice of a select field; a deleted one stays in the definition."""

    choice_id: str
    label: str
    created: int
    deleted: int | None = None


@dataclass(slots=True, eq=False)
class CustomField:
    """A custom field. Its name follows from the first label and stays when the label changes."""

    field_id: str
    label: str
    name: str
    type: str
    created: int
    updated: int
    choices: list[Choice] = field(default_factory=list)

    def choice_id(self, said: str) -> str:
        """The id of a choice that is named by id or by label. Raises ValueError."""
        for one in self.choices:
            if one.deleted is None and said in (one.choice_id, one.label):
                return one.choice_id
        raise ValueError(f"the field has no choice {said!r}")
