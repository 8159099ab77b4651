"""The central double of a provisioned hall that writes down what it is sent and answers, and what it could open."""

import dataclasses
import zlib

from app_thread import AppThread

from simulator import central


class RecordingCentral:
    """hall: folder of a provisioned hall. seen: requests unpacked, and answers; opened: sealed claims by number."""

    def __init__(self, hall):
        parts = central.parts_of(hall, None)
        self.seen, self.opened = bytearray(), []
        self._check = parts.check
        self._parts = dataclasses.replace(parts, check=self)
        self._app = central.create(self._parts)
        certificate = hall / "central" / "server.pem"

        async def recorded(scope, receive, send):  # a plain function: uvicorn takes a method for an older ASGI
            await self._pass(scope, receive, send)

        self._served = AppThread(recorded, certificate, certificate.with_suffix(".key"))
        self.port = self._served.port

    def check(self, entry):
        """As RecordCheck.check."""
        found = self._check.check(entry)
        self.opened.append(found.disclosed)
        return found

    async def _pass(self, scope, receive, send):
        """ASGI: everything that goes through."""
        body = bytearray()
        self.seen += repr(scope.get("path")).encode() + b"".join(b"\n".join(one) for one in scope.get("headers", ()))

        async def receive_recorded():
            message = await receive()
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                self.seen.extend(unpacked(bytes(body)))
            return message

        async def send_recorded(message):
            self.seen.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive_recorded, send_recorded)

    def close(self):
        self._served.close()
        self._parts.store.close()


def unpacked(body):
    """The body as it is, and what gzip holds where it is gzip."""
    try:
        return body + b"\n" + zlib.decompress(body, wbits=31)
    except zlib.error:
        return body
