"""Both providers of AWS against a server that plays them, and against servers that misbehave."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from keepstep.model.errors import Misconfigured, Permanent, Problem, Transient
from keepstep.safes import Safe, Safes
from keepstep.safes.parameter_store import ParameterStore
from keepstep.state.vault import Secret
from tests.safes.providing import AWS, PROVIDERS, REGION, settings_of

CANARY = "canary-7f3a"
NAME = "virtuous/production/acme/api_token"
MARKS = ["a" * 64, "b" * 64]


@pytest.fixture(params=PROVIDERS[1:])
def safe(request: pytest.FixtureRequest, moto: str) -> Iterator[Safe]:
    safes = Safes(settings_of(request.param, moto))
    yield safes[request.param]
    safes.close()


def test_every_version_stays_what_it_was(safe: Safe) -> None:
    versions = [(NAME, safe.put(NAME, Secret(text), mark)) for text, mark in zip(("old", CANARY), MARKS, strict=True)]
    found = safe.get(versions)
    assert [found[one].reveal() for one in versions] == ["old", CANARY]


def test_what_is_not_there_is_left_out(safe: Safe) -> None:
    there = (NAME, safe.put(NAME, Secret(CANARY), MARKS[0]))
    wanted = [(NAME, "9" if there[1] == "1" else "c" * 64), (f"{NAME}x", there[1]), there]
    assert list(safe.get(wanted)) == [there]


def test_a_deleted_name_is_gone_and_may_be_deleted_again(safe: Safe) -> None:
    there = (NAME, safe.put(NAME, Secret(CANARY), MARKS[0]))
    for _ in range(2):
        safe.delete(NAME)
    assert safe.get([there]) == {}
    assert safe.get([(NAME, safe.put(NAME, Secret("new"), MARKS[1]))])


def test_many_are_read_at_once_and_long_ones_are_taken(safe: Safe) -> None:
    wanted = [(f"{NAME}{n}", safe.put(f"{NAME}{n}", Secret("x" * 6000 + str(n)), f"{n:064d}")) for n in range(25)]
    assert [value.reveal()[6000:] for value in safe.get(wanted).values()] == [str(n) for n in range(25)]


def test_a_parameter_is_encrypted_and_named_as_in_the_fact_sheet(moto: str) -> None:
    """Virtuous facts 16.9; hierarchies begin with a slash."""
    Safes(settings_of("parameter_store", moto))["parameter_store"].put(NAME, Secret(CANARY), MARKS[0])
    found = boto3.client("ssm", region_name=REGION, endpoint_url=moto).get_parameter(Name=f"/{NAME}")["Parameter"]
    assert found["Type"] == "SecureString" and found["Value"] != CANARY


def test_a_parameter_is_never_sent_as_a_plain_text() -> None:
    sent: list[dict[str, Any]] = []

    class Client:
        """Keeps what it is asked."""

        def put_parameter(self, **given: Any) -> dict[str, int]:
            sent.append(given)
            return {"Version": 1}

    assert ParameterStore(Client()).put(NAME, Secret(CANARY), MARKS[0]) == "1"
    assert [(one["Type"], one["Overwrite"]) for one in sent] == [("SecureString", True)]


def test_a_value_that_is_put_twice_is_one_version_of_a_secret(moto: str) -> None:
    safe = Safes(settings_of("secrets_manager", moto))["secrets_manager"]
    assert safe.put(NAME, Secret(CANARY), MARKS[0]) == safe.put(NAME, Secret(CANARY), MARKS[0])


class _Answering(BaseHTTPRequestHandler):
    status, body = 500, b"{}"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """wrong(status, code): the URL of a server that answers this to everything."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    servers: list[ThreadingHTTPServer] = []

    def answering(status: int, code: str) -> str:
        body = b'{"__type": "%s", "message": "%s"}' % (code.encode(), CANARY.encode())
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Wrong", (_Answering,), {"status": status, "body": body}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


ERRORS = [
    (500, "InternalServerError", Transient),
    (503, "ServiceUnavailable", Transient),
    (400, "ThrottlingException", Transient),
    (400, "ExpiredTokenException", Transient),
    (400, "AccessDeniedException", Misconfigured),
    (400, "UnrecognizedClientException", Misconfigured),
    (400, "ValidationException", Permanent),
]


@pytest.mark.parametrize("provider", PROVIDERS[1:])
@pytest.mark.parametrize(("status", "code", "kind"), ERRORS)
def test_errors_are_of_the_class_that_says_what_to_do(
    provider: str, status: int, code: str, kind: type[Problem], wrong: Any
) -> None:
    safes = Safes(settings_of(provider, wrong(status, code)))
    version = "1" if provider == "parameter_store" else MARKS[0]
    for call in (
        lambda safe: safe.put(NAME, Secret(CANARY), MARKS[0]),
        lambda safe: safe.get([(NAME, version)]),
        lambda safe: safe.delete(NAME),
    ):
        with pytest.raises(kind) as caught:
            call(safes[provider])
        assert CANARY not in str(caught.value) and caught.value.__cause__ is None
        assert code in str(caught.value)
    safes.close()


@pytest.mark.parametrize("provider", PROVIDERS[1:])
def test_a_server_that_is_not_there_is_trouble(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    safes = Safes(settings_of(provider, "http://127.0.0.1:9"))
    with pytest.raises(Transient, match="does not answer"):
        safes[provider].delete(NAME)
    safes.close()


@pytest.mark.parametrize("provider", PROVIDERS[1:])
def test_without_credentials_it_is_said_what_is_missing(
    provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    safes = Safes(settings_of(provider, "http://127.0.0.1:9"))
    with pytest.raises(Misconfigured, match="credentials"):
        safes[provider].delete(NAME)
    safes.close()


def test_without_boto3_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str, *_: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("keepstep.safes.aws.import_module", without)
    with pytest.raises(Misconfigured, match=r"pip install 'keepstep\[aws\]'"):
        Safes(settings_of("parameter_store", None))["parameter_store"]


@pytest.mark.parametrize("name", ["nothing", "aws", "keeper", "../x", ""])
def test_what_is_no_provider_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="no provider"):
        Safes(settings_of("database", None))[name]
