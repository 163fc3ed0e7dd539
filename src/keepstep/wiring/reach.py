"""Are we reached at our own public address? The only call that goes elsewhere than to a vendor, and only to what the
settings name."""

from dataclasses import dataclass

import aiohttp

PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Reached:
    """status: None for no answer, and then `trouble` is the kind of error."""

    status: int | None
    self_signed: bool = False
    trouble: str = ""


async def tried(url: str) -> Reached:
    """POST an empty body; where the certificate is nobody's whom we know, again without looking at it."""
    try:
        return Reached(await _posted(url, checked=True))
    except aiohttp.ClientConnectorCertificateError:
        try:
            return Reached(await _posted(url, checked=False), self_signed=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reached(None, self_signed=True, trouble=type(error).__name__)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Reached(None, trouble=type(error).__name__)


async def _posted(url: str, *, checked: bool) -> int:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(url, data=b"", allow_redirects=False, ssl=checked) as answer,
    ):
        return answer.status
