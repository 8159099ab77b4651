"""How the API says no: always {"error": word}, and never a value that was sent, for it may hold an identity."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

# What a caller waits before it asks again: one evaluator's pending request, one full queue.
RETRY_AFTER_S = 2


def error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer {"error": reason}."""
    return JSONResponse({"error": reason}, status, headers)


def refused(status: int, reason: str) -> JSONResponse:
    """As error(); a refusal that time mends (503) says when to come again."""
    return error(status, reason, {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None)
