"""A double of the central system above the hall: takes records and annotations over HTTPS, checks and counts them.

It believes nothing: every signature is verified with the device's public key, every sealed part opened and held
against the signed digests. `hallseal-simulator central` runs it as a process of its own.
"""

import argparse
import hmac
import json
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from protocol.suite_host import HostSuite
from simulator import central_faults
from simulator.annotation_check import AnnotationCheck, CheckedAnnotation
from simulator.central_check import Checked, DeviceKey, RecordCheck, RecordRefusedError
from simulator.central_faults import Fault, Faults
from simulator.central_manifests import ManifestCheck
from simulator.central_store import DUPLICATE, STORED, CentralStore

# A gateway sends 200 records of at most 8 KiB; ten times that is no batch.
BODY_BYTES_MAX = 16 << 20
BATCH_RECORDS_MAX = 2000


class RequestError(Exception):
    """The request cannot be taken as a whole. status: HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class DeviceKeys:
    """The devices' public keys in devices.json, read again when the file changes: halls enrol while we run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None
        self._keys: dict[str, DeviceKey] = {}

    def __call__(self) -> Mapping[str, DeviceKey]:
        """All keys by device name."""
        found = self._path.stat()
        mark = (found.st_mtime_ns, found.st_ino)
        if mark != self._mark:
            suite = HostSuite()
            self._keys = {
                name: DeviceKey(one["kind"], suite.load_public(bytes.fromhex(one["signing"])))
                for name, one in json.loads(self._path.read_text("utf-8")).items()
            }
            self._mark = mark
        return self._keys


@dataclass(frozen=True)
class CentralParts:
    """What the application needs. token: of the one hall that may forward here. real_s: machine's UTC seconds."""

    hall: str
    token: str
    check: RecordCheck
    annotation_check: AnnotationCheck
    store: CentralStore
    faults: Faults
    manifests: ManifestCheck
    real_s: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def create(parts: CentralParts) -> FastAPI:
    """The application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.exception_handler(RequestError)
    def refused(_request: Request, error: RequestError) -> Response:
        return JSONResponse({"error": error.reason}, error.status)

    for freight in (_RECORDS, _ANNOTATIONS):
        _add_freight(app, parts, freight)

    @app.get("/api/v1/operator-heads")
    def operator_heads(request: Request) -> dict[str, object]:
        _authorise(request, parts.token)
        return {"heads": [{"number": number, "hash": digest} for number, digest in parts.store.operator_heads()]}

    @app.post("/api/v1/manifests")
    async def manifests(request: Request) -> Response:
        _authorise(request, parts.token)
        body = await _body(request)
        return await run_in_threadpool(_take_manifests, parts, body, request.headers.get("content-encoding"))

    @app.get("/api/v1/summary")
    def summary(request: Request) -> dict[str, object]:
        _authorise(request, parts.token)
        return parts.store.summary()

    @app.post("/faults")
    async def faults(request: Request) -> Response:
        _authorise(request, parts.token)
        try:
            parts.faults.set(central_faults.parse(json.loads(await _body(request))))
        except (ValueError, TypeError, AttributeError) as error:
            raise RequestError(422, str(error)) from None
        return JSONResponse({"fault": "set"})

    return app


@dataclass(frozen=True)
class _Freight:
    """What a gateway forwards: name of the list in a request, how an entry is checked, what a verdict repeats of it."""

    name: str
    check: Callable[[CentralParts, Mapping[str, Any]], Checked | CheckedAnnotation]
    key: tuple[str, ...]


_RECORDS = _Freight("records", lambda parts, entry: parts.check.check(entry), ("device", "stream", "seq"))
_ANNOTATIONS = _Freight("annotations", lambda parts, entry: parts.annotation_check.check(entry), ("number",))


def _add_freight(app: FastAPI, parts: CentralParts, freight: _Freight) -> None:
    @app.post("/api/v1/" + freight.name)
    async def take(request: Request) -> Response:
        _authorise(request, parts.token)
        body = await _body(request)
        key = request.headers.get("idempotency-key")
        encoding = request.headers.get("content-encoding")
        return await run_in_threadpool(_answer, parts, freight, body, encoding, key)


def _authorise(request: Request, token: str) -> None:
    offered = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(offered, b"Bearer " + token.encode()):
        raise RequestError(401, "token")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise RequestError(413, "too large")
    return bytes(body)


def _answer(parts: CentralParts, freight: _Freight, body: bytes, encoding: str | None, key: str | None) -> Response:
    batch, entries, head = _read(parts.hall, freight.name, body, encoding)
    if key != batch:
        raise RequestError(400, "Idempotency-Key is not the batch")
    fault = parts.faults.next({str(one.get("device")) for one in entries})
    parts.sleep(fault.delay_s)
    if fault.mode == "error":
        raise RequestError(fault.status, "told to fail")
    if head is not None:
        parts.store.take_operator_head(*head)
    verdicts = _take(parts, freight, entries, fault)
    if fault.mode == "lost_answer":
        raise RequestError(fault.status, "told to lose the answer")
    if fault.mode == "garbage":
        return PlainTextResponse("<html>")
    return JSONResponse({"verdicts": verdicts})


def _take_manifests(parts: CentralParts, body: bytes, encoding: str | None) -> Response:
    try:
        return JSONResponse({"verdicts": parts.manifests.take(json.loads(_plain(body, encoding)))})
    except (ValueError, RecursionError):
        raise RequestError(400, "not a batch") from None


def _read(
    hall: str, name: str, body: bytes, encoding: str | None
) -> tuple[str, list[dict[str, Any]], tuple[int, str] | None]:
    """(batch id, entries, (number, hash) of the operator log's end) of a request body. Raises RequestError."""
    try:
        asked = json.loads(_plain(body, encoding))
        batch, entries, head = asked["batch"], asked[name], _head(asked.get("operator_log"))
        if asked["hall"] != hall:
            raise RequestError(403, "hall")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RequestError(400, "not a batch") from None
    if not isinstance(batch, str) or not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise RequestError(400, "not a batch")
    if len(entries) > BATCH_RECORDS_MAX:
        raise RequestError(413, "too many records")
    return batch, entries, head


def _head(stated: Any) -> tuple[int, str] | None:
    """The end of the operator log; None where a hall states none. Raises ValueError, KeyError or TypeError."""
    if stated is None:
        return None
    number, digest = stated["number"], stated["hash"]
    if not isinstance(number, int) or not 0 <= number < 1 << 63 or len(bytes.fromhex(digest)) != 32:
        raise ValueError("operator_log")
    return number, digest


def _plain(body: bytes, encoding: str | None) -> bytes:
    if encoding is None:
        return body
    if encoding != "gzip":
        raise RequestError(415, "encoding")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, BODY_BYTES_MAX)
    except zlib.error:
        raise RequestError(400, "gzip") from None
    if not unpacker.eof:
        raise RequestError(413, "gzip cut short or too large")
    return plain


def _take(
    parts: CentralParts, freight: _Freight, entries: list[dict[str, Any]], fault: Fault
) -> list[dict[str, object]]:
    outcomes = parts.store.take([_judge(parts, freight, one, fault) for one in entries], parts.real_s())
    return [_verdict(freight, entry, outcome) for entry, outcome in zip(entries, outcomes, strict=True)]


def _judge(
    parts: CentralParts, freight: _Freight, entry: dict[str, Any], fault: Fault
) -> Checked | CheckedAnnotation | str:
    if fault.mode == "refuse" and fault.hits(str(entry.get("device"))):
        return fault.reason
    try:
        return freight.check(parts, entry)
    except RecordRefusedError as error:
        return error.reason


def _verdict(freight: _Freight, entry: dict[str, Any], outcome: str) -> dict[str, object]:
    verdict = {name: entry.get(name) for name in freight.key}
    if outcome in (STORED, DUPLICATE):
        return {**verdict, "verdict": outcome, "reason": None}
    return {**verdict, "verdict": "refused", "reason": outcome}


def parts_of(folder: Path, store: Path | None) -> CentralParts:
    """The parts for the hall in `folder` (as hallseal-provision made it). store: SQLite file, None for memory."""
    central = folder / "central"
    hall = json.loads((folder / "hall.json").read_text("utf-8"))["hall"]
    keys = DeviceKeys(central / "devices.json")
    kept = CentralStore(store)
    return CentralParts(
        hall=hall,
        token=(central / "token").read_text("utf-8").strip(),
        check=RecordCheck(hall, keys, (central / "hpke.key").read_bytes()),
        annotation_check=AnnotationCheck(hall, (central / "command.pub").read_bytes()),
        store=kept,
        faults=Faults(),
        manifests=ManifestCheck(hall, (central / "root.pem").read_bytes(), kept),
    )


def server_of(app: FastAPI, certificate: Path, key: Path) -> uvicorn.Server:
    """An HTTPS server for `app`; run it with a listening socket."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    return uvicorn.Server(config)


def listen(port: int) -> socket.socket:
    """A socket on loopback; port 0: the system picks one. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)  # already here: whoever is told the address may connect at once
    except OSError:
        listener.close()
        raise
    return listener


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `central`."""
    parser = commands.add_parser(
        "central",
        help="a double of the central system above the hall",
        description="Takes the records that a hall's gateway forwards, verifies and counts them. Runs until SIGTERM.",
    )
    parser.add_argument("folder", type=Path, help="folder of the hall, as hallseal-provision made it")
    parser.add_argument("--port", type=int, default=8444, help="port on 127.0.0.1; 0 picks a free one (default 8444)")
    parser.add_argument("--store", type=Path, help="SQLite file for what arrives (default: memory only)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; prints one line with the address once the port is open."""
    parts = parts_of(options.folder, options.store)
    listener = listen(options.port)
    central = options.folder / "central"
    server = server_of(create(parts), central / "server.pem", central / "server.key")
    print(f"central https://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        parts.store.close()
    return 0
