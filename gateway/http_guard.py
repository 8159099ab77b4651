"""What surrounds every HTTP request: a bound on its body, and headers that keep a browser to our own files."""

import hashlib
import hmac

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The largest request is a visit of twelve parts with names as long as they may be, every character escaped: 28 KiB.
BODY_BYTES_MAX = 32 << 10
# A connection that ends with unread bytes is reset, and the answer is lost with it. So what is refused is read, up to
# here: somebody's mistake fits, an attacker gets a reset.
_DRAIN_BYTES_MAX = 1 << 18

SECURITY_HEADERS = {
    # Scripts, styles, images and connections from this server only: no CDN, nothing inline, nothing framed.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_TOO_LARGE = b'{"error":"too_large"}'


class BodyTooLargeError(Exception):
    """The body grew beyond BODY_BYTES_MAX while it was read."""


class HttpGuard:
    """ASGI middleware; wraps the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. A body beyond BODY_BYTES_MAX is answered 413 before the application reads it whole."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if _declared_bytes(scope) > BODY_BYTES_MAX:
            await _refuse(receive, send_with_headers)
            return
        try:
            await self._app(scope, _bounded(receive), send_with_headers)
        except BodyTooLargeError:
            if not started:
                await _refuse(receive, send_with_headers)


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_BYTES_MAX:
            raise BodyTooLargeError
        return message

    return receive_bounded


async def _drain(receive: Receive) -> None:
    taken = 0
    while taken <= _DRAIN_BYTES_MAX:
        message = await receive()
        taken += len(message.get("body", b""))
        if not message.get("more_body"):
            return


async def _refuse(receive: Receive, send: Send) -> None:
    await _drain(receive)
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LARGE})


def token_fits(authorization: str | None, token: str) -> bool:
    """True when the header is `Bearer <token>`; takes as long for a near miss as for a far one."""
    scheme, _, offered = (authorization or "").partition(" ")
    same = hmac.compare_digest(_digest(offered.strip()), _digest(token))
    return same and scheme.lower() == "bearer" and bool(token)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
