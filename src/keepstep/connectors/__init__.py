"""One folder per platform, found by looking: adding a platform is adding a folder, and no list names it."""

from importlib import import_module
from pkgutil import iter_modules

from keepstep.model.errors import Misconfigured
from keepstep.ports import Connector


def discover() -> dict[str, Connector]:
    """Platform name to connector, in the order of the names. Raises Misconfigured for a folder that offers none."""
    found = [_connector(module.name) for module in iter_modules(__path__) if module.ispkg]
    return {connector.platform: connector for connector in sorted(found, key=lambda each: each.platform)}


def _connector(folder: str) -> Connector:
    offered = getattr(import_module(f"{__name__}.{folder}"), "CONNECTOR", None)
    if not isinstance(offered, Connector):
        raise Misconfigured((f"connectors/{folder}/__init__.py: no CONNECTOR of type keepstep.ports.Connector",))
    return offered
