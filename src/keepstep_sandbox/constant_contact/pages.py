"""The pages that a person sees in a browser: consent to an application, and the code of a device (CC facts 2.1, 2.5).

Plain forms without a script. Whoever may be signed in is chosen on the page: the stand-in has no passwords.
"""

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode

from keepstep_sandbox.constant_contact.oauth import TokenService
from keepstep_sandbox.http import Request, Response, answer

BASE = "/oauth2/default/v1"
AUTHORIZE, DEVICE, ACTIVATE = f"{BASE}/authorize", f"{BASE}/device/authorize", f"{BASE}/activate"
Values = Mapping[str, str]


def handle(tokens: TokenService, accounts: Iterable[str], request: Request, now: float) -> Response | None:
    """The answer of a page; None for any other path."""
    values = request.params() | dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if request.path == AUTHORIZE:
        return _authorize(tokens, accounts, request.method, values, now)
    if request.path == DEVICE and request.method == "POST":
        return _device(tokens, request, values, now)
    if request.path == ACTIVATE:
        return _activate(tokens, accounts, request.method, values, now)
    return None


def _authorize(tokens: TokenService, accounts: Iterable[str], method: str, values: Values, now: float) -> Response:
    """An unknown application or redirect is told to the person; anything else goes back to the application."""
    app, redirect = tokens.apps.get(values.get("client_id", "")), values.get("redirect_uri", "")
    if app is None or redirect not in app.redirects or "#" in redirect:
        return _page(400, "<p>The application or its redirect address is not known.</p>")
    state = values.get("state", "")
    if values.get("response_type") != "code" or not state:
        return _back(redirect, {"error": "invalid_request", "state": state})
    if not app.secret and values.get("code_challenge_method") != "S256":
        return _back(redirect, {"error": "invalid_request", "error_description": "PKCE is required", "state": state})
    if method == "GET":
        return _page(
            200, _asked(f"{escape(app.client_id)} wants access: {escape(values.get('scope', ''))}", accounts, values)
        )
    if values.get("decision") != "allow":
        return _back(redirect, {"error": "access_denied", "error_description": "denied", "state": state})
    code = tokens.consents.code(values["account"], values, now)
    return _back(redirect, {"code": code, "state": state, "scope": values.get("scope", "")})


def _device(tokens: TokenService, request: Request, values: Values, now: float) -> Response:
    if values.get("client_id", "") not in tokens.apps:
        return answer(401, {"error": "invalid_client", "error_description": "Client authentication failed."})
    made = tokens.consents.device(values["client_id"], values.get("scope", ""), now)
    host = request.headers.get("host", "authz.constantcontact.com")
    here = f"http://{host}{ACTIVATE}"
    whole = f"{here}?{urlencode({'user_code': str(made['user_code'])})}"
    return answer(200, {**made, "verification_uri": here, "verification_uri_complete": whole})


def _activate(tokens: TokenService, accounts: Iterable[str], method: str, values: Values, now: float) -> Response:
    code = values.get("user_code", "")
    if not tokens.consents.waiting(code, now):
        return _page(
            200 if not code else 400,
            '<form method="get"><label>Code <input name="user_code"></label><button>Next</button></form>',
        )
    if method == "GET":
        return _page(200, _asked("A device wants access", accounts, values))
    tokens.consents.decide(code, values["account"] if values.get("decision") == "allow" else None, now)
    return _page(200, "<p>You may go back to your device.</p>")


def _asked(words: str, accounts: Iterable[str], values: Values) -> str:
    kept = "".join(
        f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in values.items()
    )
    choice = "".join(f"<option>{escape(one)}</option>" for one in accounts)
    buttons = '<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button>'
    chosen = f'<label>Account <select name="account">{choice}</select></label>'
    return f'<p>{words}</p><form method="post">{kept}{chosen}{buttons}</form>'


def _page(status: int, body: str) -> Response:
    head = '<!doctype html><html lang="en"><title>Constant Contact stand-in</title><h1>Constant Contact stand-in</h1>'
    text = f"{head}{body}</html>"
    return Response(status, {"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY"}, text.encode())


def _back(redirect: str, values: Mapping[str, str]) -> Response:
    mark = "&" if "?" in redirect else "?"
    return Response(302, {"Location": f"{redirect}{mark}{urlencode({k: v for k, v in values.items() if v})}"})
