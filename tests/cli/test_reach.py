"""Whether our own public address is reached, by POST."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keepstep.wiring import heard, reach
from keepstep.wiring.reach import Reached


def certificate(folder: Path) -> ssl.SSLContext:
    """Of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(key.private_bytes(*plain) + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "both.pem")
    return context


async def tried(status: int, context: ssl.SSLContext | None) -> tuple[Reached, list[str]]:
    """What comes of a door that answers so, and the methods it saw."""
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request.method)
        headers = {"Location": "https://127.0.0.1:1/"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    scheme = "https" if context else "http"
    try:
        return await reach.tried(f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/partner/x/token"), seen
    finally:
        await runner.cleanup()


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


def test_a_certificate_signed_by_nobody_known_is_told(tmp_path: Path) -> None:
    found, seen = run(tried(401, certificate(tmp_path)))
    assert (found.status, found.self_signed, seen) == (401, True, ["POST"])
    assert heard._reached(found, "here")[0] == "person"


@pytest.mark.parametrize(("status", "state"), [(401, "ok"), (404, "failed"), (302, "failed"), (200, "failed")])
def test_only_our_own_door_refuses_a_stranger_so(status: int, state: str) -> None:
    found, seen = run(tried(status, None))
    assert (found, seen) == (Reached(status), ["POST"])
    assert heard._reached(found, "here")[0] == state


def test_a_port_where_nobody_listens_is_told_with_what_to_do() -> None:
    found = run(reach.tried("http://127.0.0.1:1/partner/x/token"))
    assert found.status is None and found.trouble
    state, detail, then = heard._reached(found, "here")
    assert state == "failed" and "cannot be reached" in detail and "receive-partner-webhooks" in then
