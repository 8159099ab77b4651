"""An application of the simulator in a thread of the test, over real HTTPS on a port of its own."""

import threading
import time

from simulator import central


class AppThread:
    """app: ASGI. certificate, key: PEM files. It serves from the beginning until close(). port: on 127.0.0.1."""

    def __init__(self, app, certificate, key):
        listener = central.listen(0)
        self.port = listener.getsockname()[1]
        self._server = central.server_of(app, certificate, key)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the central double did not start"
            time.sleep(0.01)

    def close(self):
        """End it; returns when it has ended."""
        self._server.should_exit = True
        self._thread.join(10)
