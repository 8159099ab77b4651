"""Who may ask what: the dependency of a route that lets only the holder of one token in."""

from collections.abc import Callable

from fastapi import HTTPException, Request

from gateway.http_guard import token_fits
from gateway.metrics import Metrics


def bearer(token: str | None, closed: str, metrics: Metrics) -> Callable[[Request], None]:
    """A dependency that lets only the holder of `token` in; nobody where there is none (403, reason `closed`)."""

    def check(request: Request) -> None:
        if token is None:
            raise HTTPException(403, closed)
        if not token_fits(request.headers.get("authorization"), token):
            metrics.count("api_unauthorised")
            raise HTTPException(401, "token", {"WWW-Authenticate": "Bearer"})

    return check
