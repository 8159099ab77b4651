"""Serves the gateway's page and API from a thread of its own."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

# Wall screens and the business system; beyond this a connection is answered 503 rather than taking memory.
CONNECTIONS_MAX = 256
START_TIMEOUT_S = 10.0


class WebServer:
    """One listening socket. Without certificate and key: plain HTTP, which the configuration allows on loopback only.

    port 0: the system picks one; `port` says which. Raises OSError when the address is taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        certificate: Path | None = None,
        key: Path | None = None,
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._before_stop = before_stop
        self._socket = _listen(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.scheme = "https" if certificate else "http"
        config = uvicorn.Config(
            app,
            log_config=None,  # our own logs; and no access log, for an address may hold a visit number
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=2,
            lifespan="off",
            ws="none",
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
        )
        self._server = uvicorn.Server(config)  # leaves signals alone, as it runs outside the main thread
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    @property
    def url(self) -> str:
        """Address of the page, without trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def start(self) -> None:
        """Return once requests are answered. Raises RuntimeError when that does not happen in START_TIMEOUT_S."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the web server did not start")
            time.sleep(0.01)

    def stop(self, timeout_s: float = 3.0) -> bool:
        """End open streams, then the server. True when it ended in time."""
        self._before_stop()
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """True while requests are answered."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
