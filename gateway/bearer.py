"""Who may use a route: the holder of one role's token. Each use, and each try, is told to the operator log."""

from collections.abc import Callable

from fastapi import HTTPException, Request

from gateway.http_guard import token_fits
from gateway.parts import GatewayParts


def bearer(parts: GatewayParts, role: str, closed: str) -> Callable[[Request], None]:
    """A dependency that lets only the holder of the token in; nobody where there is none (403, reason `closed`).

    role: the name of a field of ApiTokens.
    """
    token: str | None = getattr(parts.tokens, role)

    def check(request: Request) -> None:
        if token is None:
            raise HTTPException(403, closed)
        if not token_fits(request.headers.get("authorization"), token):
            parts.metrics.count("api_unauthorised")
            parts.token_use.refused(role)
            raise HTTPException(401, "token", {"WWW-Authenticate": "Bearer"})
        parts.token_use.accepted(role)

    return check
