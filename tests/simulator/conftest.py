"""What every simulator test shares."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """A hundred simulated weeks report a hundred thousand facts, which would fill the report."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)
