"""AWS Systems Manager Parameter Store: a SecureString a secret, each version under its number."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from keepstep.safes import aws
from keepstep.settings.vault import Vault as Settings
from keepstep.state.vault import Secret

_SERVICE = "ssm"
_NAMES_A_CALL = 10


class ParameterStore:
    """safes.Safe. Old versions stay in the parameter's history, of which AWS keeps the last hundred."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, name: str, value: Secret, mark: str) -> str:  # noqa: ARG002  (versions are numbers here)
        """See safes.Safe."""
        with aws.told(_SERVICE):
            # Intelligent-Tiering: what is above 4 KB, as a long token may be, needs no other call.
            made = self._client.put_parameter(
                Name=_path(name),
                Value=value.reveal(),
                Type="SecureString",
                Overwrite=True,
                Tier="Intelligent-Tiering",
            )
        return str(made["Version"])

    def get(self, wanted: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Secret]:
        """See safes.Safe."""
        found: dict[tuple[str, str], Secret] = {}
        rest = iter(wanted)
        while some := list(islice(rest, _NAMES_A_CALL)):
            with aws.told(_SERVICE):
                answer = self._client.get_parameters(
                    Names=[f"{_path(name)}:{version}" for name, version in some], WithDecryption=True
                )
            for one in answer["Parameters"]:
                found[(one["Name"].removeprefix("/"), str(one["Version"]))] = Secret(one["Value"])
        return {one: found[one] for one in wanted if one in found}

    def delete(self, name: str) -> None:
        """See safes.Safe."""
        with aws.told(_SERVICE):
            self._client.delete_parameters(Names=[_path(name)])

    def close(self) -> None:
        """See safes.Safe."""
        self._client.close()


def opened(settings: Settings) -> ParameterStore:
    """Raises Misconfigured."""
    return ParameterStore(aws.client(_SERVICE, settings))


def _path(name: str) -> str:
    return f"/{name}"
