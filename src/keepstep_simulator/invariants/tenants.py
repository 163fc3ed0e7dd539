"""Tenants: I29 and I30. (I31 is a pair of runs.)"""

from keepstep_simulator.story import Fact, Found, Story, Violation

# Tables of an application key, over all its customers, and rows of the operator's own (an id that begins with _).
GLOBAL = ("permit", "application_key")
_OPERATOR = "_"


def own_credential(story: Story) -> Found:
    """I29: every call uses the credential and account of the customer whose work it is; every effect lands in that
    customer's data.

    Whose work it is, is whose slot the process holds; whose credential it is, the vendor tells. Nobody calls outside of
    a slot but an operator, for a customer.
    """
    found: list[Violation] = []
    asked: dict[str, Fact] = {}
    for fact in story.of("OUT", "EFF"):
        if fact.kind == "OUT":
            asked[fact.key] = fact
            if fact.data["of"] != fact.customer:
                found.append(Violation("I29", fact.n, f"{_call(fact)} as {fact.customer}, for {_whom(fact)}"))
        elif fact.data["call"] and asked[fact.data["call"]].data["of"] != fact.customer:
            whom = _whom(asked[fact.data["call"]])
            found.append(Violation("I29", fact.n, f"{fact.key} of {fact.customer} was changed for {whom}"))
    return found, len(asked) if len({fact.customer for fact in asked.values()}) > 1 else 0


def _call(fact: Fact) -> str:
    return f"{fact.data['method']} {fact.data['path']}"


def _whom(fact: Fact) -> str:
    return str(fact.data["of"]) or "nobody"


def own_rows(story: Story) -> Found:
    """I30: every row that is touched belongs to the customer in hand, or to a declared global table.

    In hand is whose slot the process holds. A transaction may end one turn and claim the next slot: what comes after
    the claim is the next customer's. One without a slot (the door, an operator) touches one customer's rows.
    """
    found: list[Violation] = []
    fences: dict[str, int] = {}
    served: set[str] = set()
    premise = 0
    for fact in story.of("TX", "RESTORE"):
        if fact.kind == "RESTORE":
            fences.clear()
        elif fact.data["rows"]:
            premise += 1
            served.add(fact.data["of"])
            found += [Violation("I30", fact.n, why) for why in _strangers(fact, fences)]
    return found, premise if len(served - {""}) > 1 else 0


def _strangers(fact: Fact, fences: dict[str, int]) -> list[str]:
    """Rows of one transaction that are not of the customer in hand."""
    owner, found = "", []
    for table, _, row in fact.data["rows"]:
        mine = row.get("customer_id")
        if mine is None or mine.startswith(_OPERATOR):
            if mine is None and table not in GLOBAL:
                found.append(f"{fact.key}: a row of {table} is nobody's")
        elif table == "slot" and fences.get(mine, -1) < row["fence"]:
            fences[mine], owner = row["fence"], mine
        elif mine != (owner or mine):
            found.append(f"{fact.key}, for {owner}: a row of {mine} in {table}")
        else:
            owner = mine
    if owner and owner != (fact.data["of"] or owner):
        found.append(f"{fact.key}, for {fact.data['of']}: rows of {owner}")
    return found
