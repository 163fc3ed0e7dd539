"""What both providers of AWS share: the client, and how its errors are told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from keepstep.model.errors import Misconfigured, Permanent, Transient
from keepstep.settings.vault import Vault as Settings

# One call may take this long with its second try; a keeper's lease is longer than all calls for one secret.
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 3, 10, 2
# Our credentials, policy or region are wrong: nothing but a person mends that. The rest is worth another try.
_REFUSED = frozenset(
    """AccessDenied AccessDeniedException UnrecognizedClientException InvalidClientTokenId InvalidSignatureException
    SignatureDoesNotMatch MissingAuthenticationToken MissingAuthenticationTokenException IncompleteSignature
    NotAuthorized OptInRequired InvalidKeyId""".split()
)
_NEVER = frozenset(
    """ValidationException InvalidParameterException ParameterPatternMismatchException
    HierarchyLevelLimitExceededException HierarchyTypeMismatchException UnsupportedParameterType
    InvalidRequestException ParameterLimitExceeded LimitExceededException ParameterMaxVersionLimitExceeded
    EncryptionFailure""".split()
)
_UNCONFIGURED = frozenset(
    """NoCredentialsError PartialCredentialsError NoRegionError InvalidRegionError ProfileNotFound
    ConfigParseError""".split()
)
MISSING = frozenset("ParameterNotFound ParameterVersionNotFound ResourceNotFoundException".split())


def client(service: str, settings: Settings) -> Any:
    """A client of one service. Raises Misconfigured where boto3 is not installed or where no region is named."""
    try:
        boto3, config = import_module("boto3"), import_module("botocore.config")
    except ImportError:
        remedy = "install it with `pip install 'keepstep[aws]'`"
        raise Misconfigured((f"vault.provider: {settings.provider} needs boto3; {remedy}",)) from None
    how = config.Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    with told(service):
        # A session of our own: the shared one is for one thread, and keeps the credentials it found first.
        return boto3.session.Session().client(
            service, region_name=settings.region, endpoint_url=settings.endpoint, config=how
        )


@contextmanager
def told(service: str) -> Iterator[None]:
    """Errors of AWS become ours. Its own words are left out: they may quote a name, or more."""
    errors = import_module("botocore.exceptions")
    try:
        yield
    except errors.ClientError as error:
        raise _said(service, code_of(error)) from None
    except errors.BotoCoreError as error:
        raise _unsaid(service, type(error).__name__) from None


def code_of(error: Any) -> str:
    """The short name of what AWS answered."""
    answer: Mapping[str, Any] = error.response
    return str(answer.get("Error", {}).get("Code", "unknown"))[:80]


def refusal() -> type[Exception]:
    """What a client raises when AWS answers with an error."""
    found: type[Exception] = import_module("botocore.exceptions").ClientError
    return found


def _said(service: str, code: str) -> Exception:
    if code in _REFUSED:
        remedy = "check the credentials of AWS and what their policy allows"
        return Misconfigured((f"vault: AWS {service} refuses us ({code}); {remedy}",))
    if code in _NEVER:
        return Permanent(400, f"AWS {service} does not take this secret ({code})")
    return Transient(f"AWS {service} has trouble ({code})")


def _unsaid(service: str, name: str) -> Exception:
    if name in _UNCONFIGURED:
        remedy = "give it credentials and a region (`vault.region`), as for any program that uses AWS"
        return Misconfigured((f"vault: AWS {service} cannot be asked ({name}); {remedy}",))
    if name == "ParamValidationError":
        return Permanent(400, f"AWS {service} does not take this secret ({name})")
    return Transient(f"AWS {service} does not answer ({name})")
