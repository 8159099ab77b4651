"""Hands the ledger's records to the central system over HTTPS, each until it is stored there or refused by name."""

import base64
import gzip
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import httpx

from gateway import https_client
from gateway.annotations import Annotation
from gateway.dead_letters import DeadLetter, DeadLetters
from gateway.ledger import LedgerRecord
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.operator_log import EMPTY, Head
from gateway.projection import UnavailableError

# A verdict is about 100 bytes; an answer larger than this is not from a central system.
ANSWER_BYTES_MAX = 1 << 20
# The timeouts of the client run from byte to byte: an answer that only drips must end as well.
EXCHANGE_TIMEOUT_S = 60.0

STORED, DUPLICATE, REFUSED = "stored", "duplicate", "refused"
# The central system read the request and will not take it as it is: the fault may lie in one record of the batch.
_UNACCEPTABLE = {400, 413, 422}

_log = Log("forwarder")


class _UnacceptableError(Exception):
    """The whole batch was turned away with one of _UNACCEPTABLE."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Numbered(Protocol):
    """What is forwarded: a record, or an annotation of one."""

    @property
    def position(self) -> int:
        """In the ledger."""

    @property
    def device(self) -> str:
        """Of the record."""

    @property
    def stream(self) -> str:
        """Of the record."""

    @property
    def seq(self) -> int:
        """Of the record."""


_Item = TypeVar("_Item", bound=Numbered)


class Freight(NamedTuple):
    """One kind of what is forwarded.

    path: where the central system takes it. name: of the list in a request. entry: an item as it is sent. key: the
    fields of an entry that identify it; a verdict names the same ones. counted: name of the metric.
    """

    path: str
    name: str
    entry: Callable[[Any], dict[str, object]]
    key: tuple[str, ...]
    counted: str = "forwarded"


class Forwarder(Generic[_Item]):
    """Delivers pages of the ledger; `take` is the work of the projection "central".

    Only the central system's own verdict about a record makes it a dead letter. An outage, a wrong token or a broken
    answer raises UnavailableError, and the same records are offered again: the central system tells them by
    (device, stream, seq), so that nothing is stored twice.
    """

    def __init__(
        self,
        hall: str,
        client: httpx.Client,
        dead_letters: DeadLetters,
        metrics: Metrics,
        now_s: Callable[[], int],
        freight: Freight,
        operator_head: Callable[[], Head] | None = None,
    ) -> None:
        """operator_head: the present end of the operator log, which goes with every batch; None: it goes elsewhere."""
        self._hall = hall
        self._client = client
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._now_s = now_s
        self._freight = freight
        self._operator_head = operator_head
        self._told = EMPTY
        # One request at a time: a head that overtakes an older one would look as if the log had lost its end.
        self._posting = threading.Lock()

    def tell_head(self) -> None:
        """Deliver the end of the operator log alone, when no batch has taken it along since it grew.

        Raises UnavailableError.
        """
        if self._head() not in (None, self._told):
            try:
                self._post([])
            except _UnacceptableError as error:
                raise UnavailableError(f"http_{error.status}") from None

    def _head(self) -> Head | None:
        return self._operator_head() if self._operator_head else None

    def take(self, page: Sequence[_Item]) -> None:
        """Deliver every record of `page`. Raises UnavailableError when the central system cannot take them now."""
        refused = self._deliver(page)
        if refused:
            lost = self._dead_letters.add(
                [DeadLetter(one.position, one.device, one.stream, one.seq, why, self._now_s()) for one, why in refused]
            )
            self._metrics.count("forward_dead_letters_full", lost)

    def close(self) -> None:
        """End the connection; a delivery under way fails."""
        self._client.close()

    def _deliver(self, page: Sequence[_Item]) -> list[tuple[_Item, str]]:
        """The refused records of `page` with their reasons; all others are at the central system."""
        try:
            return self._post(page)
        except _UnacceptableError as error:
            poison = self._isolate(page, error)
            if len(poison) == len(page):
                # Not one record passes: then it is not the records. Blaming them would lose them to a wrong setting.
                raise UnavailableError(f"http_{error.status}") from None
            return poison

    def _isolate(self, page: Sequence[_Item], error: _UnacceptableError) -> list[tuple[_Item, str]]:
        """Halve `page` until the records that the central system cannot take stand alone."""
        if len(page) == 1:
            return [(page[0], f"http_{error.status}")]
        found: list[tuple[_Item, str]] = []
        for half in (page[: len(page) // 2], page[len(page) // 2 :]):
            try:
                found += self._post(half)
            except _UnacceptableError as inner:
                found += self._isolate(half, inner)
        return found

    def _post(self, page: Sequence[_Item]) -> list[tuple[_Item, str]]:
        with self._posting:
            return self._post_alone(page)

    def _post_alone(self, page: Sequence[_Item]) -> list[tuple[_Item, str]]:
        entries = [self._freight.entry(one) for one in page]
        batch, head = batch_id(entries, self._freight.key), self._head()
        request = {"hall": self._hall, "batch": batch, self._freight.name: entries}
        body = json.dumps({**request, "operator_log": head.shown()} if head else request)
        compressed = gzip.compress(body.encode(), compresslevel=1, mtime=0)
        status, answer = exchange(self._client, self._freight.path, batch, compressed)
        self._metrics.count("forward_requests", status=status)
        if status in _UNACCEPTABLE:
            raise _UnacceptableError(status)
        if status != 200:
            raise UnavailableError(f"http_{status}")
        self._told = head or EMPTY
        return self._judge(page, entries, answer)

    def _judge(
        self, page: Sequence[_Item], entries: Sequence[Mapping[str, object]], answer: bytes
    ) -> list[tuple[_Item, str]]:
        verdicts = read_verdicts(answer, self._freight.key)
        refused = []
        for one, sent in zip(page, entries, strict=True):
            verdict, reason = verdicts.get(tuple(sent[name] for name in self._freight.key), ("", ""))
            if verdict not in (STORED, DUPLICATE, REFUSED):
                raise UnavailableError("verdict_missing")
            self._metrics.count(self._freight.counted, verdict=verdict)
            if verdict == REFUSED:
                what = {"device": one.device, "stream": one.stream, "seq": one.seq, "route": self._freight.path}
                _log.warning("record refused by central", **what)
                refused.append((one, reason or "no reason given"))
        return refused


def exchange(client: httpx.Client, path: str, key: str, body: bytes) -> tuple[int, bytes]:
    """(status, answer) of the central system to a POST of `body` (gzip); the same key means the same content.

    Raises UnavailableError when there is no answer, or one that does not end.
    """
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Idempotency-Key": key}
    try:
        with client.stream("POST", path, content=body, headers=headers) as response:
            answer = b""
            deadline = time.monotonic() + EXCHANGE_TIMEOUT_S
            for piece in response.iter_bytes(65536):
                answer += piece
                if len(answer) > ANSWER_BYTES_MAX:
                    raise UnavailableError("answer_too_large")
                if time.monotonic() > deadline:
                    raise UnavailableError("timeout")
            return response.status_code, answer
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise UnavailableError(_outage(error)) from None


def entry(record: LedgerRecord) -> dict[str, object]:
    """A record as the central system takes it; evidence and sealed blob in base64."""
    return {
        "device": record.device,
        "stream": record.stream,
        "seq": record.seq,
        "kind": record.kind,
        "evidence": base64.b64encode(record.evidence).decode(),
        "masked": dict(record.masked) if record.masked else None,
        # Empty is not None: the record had a sealed part, and its time at the hall was over.
        "sealed": None if record.sealed is None else base64.b64encode(record.sealed).decode(),
        "pseudonym": record.pseudonym,
        "received_s": record.received_s,
        "flags": list(record.flags),
        "visit": dict(record.visit) if record.visit else None,
    }


RECORDS = Freight("/api/v1/records", "records", entry, ("device", "stream", "seq"))


def annotation_entry(annotation: Annotation) -> dict[str, object]:
    """An annotation as the central system takes it. The statement says all of it again, signed; in base64."""
    return {
        "number": annotation.position,
        "device": annotation.device,
        "stream": annotation.stream,
        "seq": annotation.seq,
        "statement": base64.b64encode(annotation.statement).decode(),
    }


ANNOTATIONS = Freight("/api/v1/annotations", "annotations", annotation_entry, ("number",), "annotations_forwarded")


def batch_id(entries: Sequence[Mapping[str, object]], key: Sequence[str] = RECORDS.key) -> str:
    """The idempotence key of a batch: the same entries in the same order have the same one (32 hex digits)."""
    names = "\n".join(" ".join(str(one[name]) for name in key) for one in entries)
    return hashlib.sha256(names.encode()).hexdigest()[:32]


def read_verdicts(answer: bytes, key: Sequence[str] = RECORDS.key) -> Mapping[tuple[object, ...], tuple[str, str]]:
    """{values of `key`: (verdict, reason)} of an answer. Raises UnavailableError when it is none."""
    try:
        verdicts: list[Any] = json.loads(answer)["verdicts"]
        return {
            tuple(one[name] for name in key): (str(one["verdict"]), str(one.get("reason") or "")) for one in verdicts
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnavailableError("answer_unreadable") from None


def central_client(url: str, token: str, ca: Path | None) -> httpx.Client:
    """A client for the central system at `url` (https://…). ca: PEM file of its root; None: the machine's trust."""
    return https_client.connect(url, {"Authorization": "Bearer " + token}, ca)


def _outage(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpx.ConnectError):
        return "tls" if "CERTIFICATE" in str(error).upper() else "connect"
    return "link"
