"""A double of the windows' business system, as far as it is told: takes the outcomes of visits and counts them.

It believes nothing: a message counts only when its signature is right. `hallseal-simulator outcomes` runs it.
"""

import argparse
import base64
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from simulator import central

# A message has some 200 bytes.
BODY_BYTES_MAX = 4096
# A demo opens some thousand visits an hour.
VISITS_MAX = 100_000
_HEADERS = ("id", "timestamp", "signature")


class Outcomes:
    """What was told, by visit. Any thread."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._lock = threading.Lock()
        self._visits: dict[str, tuple[int, str]] = {}
        self._counts: Counter[str] = Counter()

    def take(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Take one message, whatever order they come in; False when its signature is wrong."""
        message_id, timestamp, signature = (headers.get("webhook-" + name, "") for name in _HEADERS)
        signed = f"{message_id}.{timestamp}.".encode() + body
        right = "v1," + base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        with self._lock:
            if not hmac.compare_digest(signature.encode(), right.encode()):
                self._counts["forged"] += 1
                return False
            self._keep(json.loads(body))
            return True

    def _keep(self, told: dict[str, Any]) -> None:
        self._counts["messages"] += 1
        visit, change = str(told["id"]), int(told["change"])
        if change > self._visits.get(visit, (-1, ""))[0] and len(self._visits) < VISITS_MAX:
            self._visits[visit] = (change, str(told["state"]))

    def summary(self) -> dict[str, object]:
        """{"messages", "forged", "visits", "states": {state: visits}}"""
        with self._lock:
            states = Counter(state for _, state in self._visits.values())
            counts = {name: self._counts[name] for name in ("messages", "forged")}
            return {**counts, "visits": len(self._visits), "states": dict(states)}


def create(outcomes: Outcomes) -> FastAPI:
    """The application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.post("/outcomes")
    async def take(request: Request) -> Response:
        body = await request.body()
        if len(body) > BODY_BYTES_MAX or not outcomes.take(request.headers, body):
            return JSONResponse({"error": "signature"}, 401)
        return Response(status_code=204)

    @app.get("/summary")
    def summary() -> dict[str, object]:
        return outcomes.summary()

    return app


def secret_of(text: str) -> bytes:
    """The bytes behind `whsec_`."""
    return base64.b64decode(text.strip().removeprefix("whsec_"))


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `outcomes`."""
    parser = commands.add_parser(
        "outcomes",
        help="a double of the business system that is told the outcomes of visits",
        description="Takes the messages of a gateway's webhook, checks and counts them. Runs until SIGTERM.",
    )
    parser.add_argument("folder", type=Path, help="folder of the hall, as hallseal-provision made it")
    parser.add_argument("--secret", type=Path, required=True, help="file with the webhook's secret")
    parser.add_argument("--port", type=int, default=8445, help="port on 127.0.0.1; 0 picks a free one (default 8445)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; prints one line with the address once the port is open."""
    outcomes = Outcomes(secret_of(options.secret.read_text("utf-8")))
    listener = central.listen(options.port)
    certificates = options.folder / "central"  # one certificate for everything that plays on this machine
    server = central.server_of(create(outcomes), certificates / "server.pem", certificates / "server.key")
    print(f"outcomes https://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    return 0
