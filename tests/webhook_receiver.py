"""A business system that is told the outcomes of its visits: it checks each signature and remembers what it took."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = b"a secret of thirty-two bytes 123"
SECRET_LINE = "whsec_" + base64.b64encode(SECRET).decode() + "\n"


@dataclass
class Told:
    """One message. signed: its signature is right. status: what it was answered."""

    id: str
    content: dict
    raw: bytes
    signed: bool
    status: int


class WebhookReceiver:
    """certificate, key: PEM files. answer(content) -> status of the next message. told: everything that came."""

    def __init__(self, certificate, key):
        self.told, self.answer = [], lambda content: 204
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._take(self.headers, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/outcomes"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _take(self, headers, body):
        content = json.loads(body)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        with self._news:
            status = self.answer(content)
            fits = hmac.compare_digest(headers["webhook-signature"], right)
            self.told.append(Told(headers["webhook-id"], content, body, fits, status))
            self._news.notify_all()
        return status

    def wait(self, condition, timeout_s=20):
        """Wait until condition(told) is true."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self.told), timeout_s), self.told

    def states(self):
        """What was taken: (id, state)."""
        return [(one.content["id"], one.content["state"]) for one in self.told if one.status < 300]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
