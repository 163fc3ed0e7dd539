"""Do two people bear the same name? One word says how far they agree.

| word | meaning |
|---|---|
| name_equal | both parts, to the letter but for case |
| name_fits | the same but for accents, hyphens, titles or white space; or a part is missing and the other agrees |
| name_missing | one side has no name at all |
| name_initial, name_nickname, name_swapped, name_part | alike, and perhaps somebody else of the family |
| generation_differs | the same, but for Jr, Sr, II, III |
| name_differs | another name |
| placeholder | the CRM's word for nobody |
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from keepstep.model.canonical import text

GENERATIONS = {"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "ii", "2nd": "ii", "iii": "iii"}
GENERATIONS |= {"3rd": "iii", "iv": "iv", "4th": "iv"}
TITLES = ("mr", "mrs", "ms", "miss", "dr", "prof", "rev", "herr", "frau", "sra", "mme")
PLACEHOLDERS = ("defaultcontact", "unknownunknown")
# Letters that are no letter with an accent, and how two languages write theirs without one.
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_SILENT = str.maketrans(dict.fromkeys("'’‘`´"))
NICKNAMES: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split())
    for group in (
        "robert rob bob bobby robbie",
        "william will bill billy willy liam",
        "richard rick dick rich ricky",
        "james jim jimmy jamie",
        "john jack johnny",
        "michael mike mick mikey",
        "elizabeth liz beth betty lizzie eliza",
        "katherine catherine kathryn kate kathy cathy katie",
        "margaret maggie peggy meg",
        "thomas tom tommy",
        "joseph joe joey",
        "charles charlie chuck",
        "daniel dan danny",
        "patricia pat patty tricia",
        "patrick pat paddy",
        "susan sue susie",
        "jennifer jen jenny",
        "rebecca becky becca",
        "deborah deb debbie",
        "alexander alex sasha sascha",
        "alexandra alex sasha sandra",
        "jose pepe",
        "francisco paco pancho",
        "ignacio nacho",
        "giuseppe beppe peppe",
        "johannes hans johann",
        "friedrich fritz",
        "ivan vanya",
        "maria masha",
        "samuel samantha sam",
        "christopher chris",
        "christine christina chris tina",
        "steven stephen steve",
        "anthony tony",
        "edward ed eddie ted",
    )
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name as two sides write it; None or empty where a part is not given. `suffix`: where it is a field of its
    own."""

    first: str | None = None
    last: str | None = None
    suffix: str | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """The words of a name, folded, without titles, and its generation: jr, sr, ii, iii, iv, or nothing."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    generation: str


def agreement(here: Name, there: Name) -> str:
    """How far two names agree, as one word of the table above."""
    ours, theirs = _parts(here), _parts(there)
    if "".join((*theirs.first, *theirs.last)) in PLACEHOLDERS:
        return "placeholder" if ours.first or ours.last else "name_missing"
    if not (ours.first or ours.last) or not (theirs.first or theirs.last):
        return "name_missing"
    found = _compared(here, there, ours, theirs)
    return "generation_differs" if found != "name_differs" and ours.generation != theirs.generation else found


def _compared(here: Name, there: Name, ours: _Parts, theirs: _Parts) -> str:
    if _plain(here) == _plain(there) and all(_plain(here)):
        return "name_equal"
    if _fits(ours, theirs) or _is_run_together(ours, theirs):
        return "name_fits"
    if _same(ours.first, theirs.last) and _same(ours.last, theirs.first):
        return "name_swapped"
    return _alike(ours, theirs)


def _alike(ours: _Parts, theirs: _Parts) -> str:
    """One part is the same, and the other is short for it or a piece of it."""
    if ours.first and theirs.first and _same(ours.last, theirs.last):
        if _is_initial(ours.first, theirs.first) or _is_initial(theirs.first, ours.first):
            return "name_initial"
        if _is_piece(ours.first, theirs.first):
            return "name_part"
        if any({_unaccented(ours.first[0]), _unaccented(theirs.first[0])} <= group for group in NICKNAMES):
            return "name_nickname"
    same_first = bool(ours.first) and _same(ours.first, theirs.first)
    return "name_part" if same_first and _is_piece(ours.last, theirs.last) else "name_differs"


def _fits(ours: _Parts, theirs: _Parts) -> bool:
    pairs = ((ours.first, theirs.first), (ours.last, theirs.last))
    given = [(one, other) for one, other in pairs if one and other]
    return bool(given) and all(_same(one, other) for one, other in given)


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return bool(_spellings(one) & _spellings(other))


def _is_initial(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    return len(short[0]) == 1 and len(long[0]) > 1 and long[0].startswith(short[0])


def _is_piece(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Are all words of one of them among the other's?"""
    return bool(one and other) and (set(one) <= set(other) or set(other) <= set(one))


def _plain(name: Name) -> tuple[str, str]:
    return text(name.first).casefold(), text(name.last).casefold()


def _is_run_together(ours: _Parts, theirs: _Parts) -> bool:
    """The same letters, all of them in one field on one side: so some write a whole name."""
    one, other = (*ours.first, *ours.last), (*theirs.first, *theirs.last)
    in_one_field = not (ours.first and ours.last) or not (theirs.first and theirs.last)
    spelt_out = all(len(word) > 1 for word in (*one, *other))
    return in_one_field and spelt_out and _same(one, other)


def _spellings(words: tuple[str, ...]) -> set[str]:
    """As one word, with umlauts as plain letters and written out."""
    joined = "".join(words)
    return {_unaccented(joined), _unaccented(joined.translate(_UMLAUTS))}


@lru_cache(maxsize=4096)
def _unaccented(value: str) -> str:
    split = unicodedata.normalize("NFKD", value.translate(_LETTERS))
    return "".join(sign for sign in split if not unicodedata.combining(sign))


def _parts(name: Name) -> _Parts:
    first, in_first = _without_generation(_words(name.first))
    last, in_last = _without_generation(_words(name.last))
    own = next((GENERATIONS[word] for word in _words(name.suffix) if word in GENERATIONS), "")
    bare = tuple(word for word in first if word not in TITLES)
    return _Parts(bare if bare or last else first, last, own or in_last or in_first)


@lru_cache(maxsize=4096)
def _words(value: str | None) -> tuple[str, ...]:
    """A mailbox that stands for a name is read as its words."""
    given = text(value).casefold().partition("@")[0].translate(_SILENT)
    return tuple("".join(sign if sign.isalnum() or unicodedata.combining(sign) else " " for sign in given).split())


def _without_generation(words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    if len(words) > 1 and words[-1] in GENERATIONS:
        return words[:-1], GENERATIONS[words[-1]]
    return words, ""
