"""AWS, played by a real server."""

from tests.safes.moto import moto, moto_server
from tests.tokens.conftest import store_url

__all__ = ["moto", "moto_server", "store_url"]
