"""A hundred thousand forged deliveries of each scheme."""

import pytest

from tests.flows import test_forgeries

pytestmark = pytest.mark.faults
MANY = 100_000


def test_no_forgery_in_a_hundred_thousand_is_believed() -> None:
    test_forgeries.older(MANY)
    test_forgeries.present(MANY)
    for scheme in (test_forgeries.VIRTUOUS_BASE64, test_forgeries.VIRTUOUS_HEX):
        test_forgeries.of_the_crm(scheme, MANY)
