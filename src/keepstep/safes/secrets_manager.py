"""AWS Secrets Manager: a secret each, its versions under ids that we choose."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.model.errors import Transient
from keepstep.safes import aws
from keepstep.settings.vault import Vault as Settings
from keepstep.state.vault import Secret

_SERVICE = "secretsmanager"
# Somebody deleted it there by hand, with days to take that back: one secret's trouble, not all secrets'.
_GOING = "InvalidRequestException"


class SecretsManager:
    """safes.Safe. AWS removes versions by itself once newer ones took their labels."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, name: str, value: Secret, mark: str) -> str:
        """See safes.Safe. The mark is the version's id, so that a value put twice is one version."""
        given = {"SecretString": value.reveal(), "ClientRequestToken": mark}
        with aws.told(_SERVICE):
            try:
                made = self._client.put_secret_value(SecretId=name, **given)
            except aws.refusal() as error:
                if aws.code_of(error) not in aws.MISSING:
                    raise
                made = self._client.create_secret(Name=name, **given)
        return str(made["VersionId"])

    def get(self, wanted: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Secret]:
        """See safes.Safe. A call reads one: the call for many knows no versions."""
        found = {one: self._read(*one) for one in wanted}
        return {one: value for one, value in found.items() if value is not None}

    def _read(self, name: str, version: str) -> Secret | None:
        with aws.told(_SERVICE):
            try:
                answer = self._client.get_secret_value(SecretId=name, VersionId=version)
            except aws.refusal() as error:
                if aws.code_of(error) not in (*aws.MISSING, _GOING):
                    raise
                return None
        if (answer["Name"], answer["VersionId"]) != (name, version):
            return None
        if "SecretString" not in answer:
            raise Transient(f"AWS {_SERVICE}: another program stored something binary under a name of ours")
        return Secret(answer["SecretString"])

    def delete(self, name: str) -> None:
        """See safes.Safe. At once: who was removed must not be kept for the days of a recovery window."""
        with aws.told(_SERVICE):
            try:
                self._client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
            except aws.refusal() as error:
                if aws.code_of(error) not in aws.MISSING:
                    raise

    def close(self) -> None:
        """See safes.Safe."""
        self._client.close()


def opened(settings: Settings) -> SecretsManager:
    """Raises Misconfigured."""
    return SecretsManager(aws.client(_SERVICE, settings))
