"""Connectors are found by looking."""

from keepstep.connectors import discover


def test_this_folder_is_found_in_its_role() -> None:
    """An audience, under the name that configuration uses, with a door for the webhooks that the recipe describes."""
    found = discover()["constant_contact"]
    assert found.open_audience is not None
    assert found.open_crm is None
    assert found.parse_delivery is not None
    assert found.account_of is not None
    assert found.signatures is not None
