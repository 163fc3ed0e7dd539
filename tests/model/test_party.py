"""What is known of a party, and what of it goes along when its people move."""

from keepstep.model.party import Person, without_household


def test_who_comes_from_another_household_brings_no_base_of_it_along() -> None:
    """Names and addresses of one's own stay seen; who was never compared has nothing to forget."""
    base = {"first_name": "Ann", "address": {"city": "Everett"}, "custom:Size": "L"}
    moved = {"address": 1.0, "phone": 2.0}
    left = without_household(
        Person(record_id="a", audience=dict(base), crm=dict(base), moved=moved, filled=("address",))
    )
    assert left.audience == left.crm == {"first_name": "Ann"} and left.moved == {"phone": 2.0} and left.filled == ()
    assert without_household(Person(record_id="b")) == Person(record_id="b")
