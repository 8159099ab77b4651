"""The notary of a running gateway: makes manifests of what the ledger takes, and hands them to the central system."""

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence

import httpx

from gateway import manifests, tokens
from gateway.configuration import CentralSettings
from gateway.evidence_keys import EvidenceKeys, RegisterBook
from gateway.forwarder import central_client, exchange
from gateway.ledger import Ledger, LedgerRecord
from gateway.logs import Log
from gateway.manifests import DueRecords, ManifestBook, StoredManifest
from gateway.metrics import Metrics
from gateway.projection import Projection, UnavailableError

# One request: 64 manifests of at most 4 KiB. A hall makes some forty a day.
PAGE_MANIFESTS = 64
# What the last manifest of a stopping gateway may take, of its five seconds.
STOP_S = 0.5
CURSOR = "central_manifest"
# How far the records are stated: retention takes nothing away before.
STATED_CURSOR = "manifest"

_log = Log("notary")


class ManifestForwarder:
    """Delivers manifests to the central system, each after the records that it covers."""

    def __init__(self, hall: str, client: httpx.Client, certificates: Sequence[bytes], metrics: Metrics) -> None:
        self._hall = hall
        self._client = client
        self._certificates = [base64.b64encode(each).decode() for each in certificates]
        self._metrics = metrics

    def take(self, page: Sequence[StoredManifest]) -> None:
        """Deliver `page`. Raises UnavailableError when the central system cannot take it now.

        A manifest that it refuses is logged and counted, and the next ones go on: it knows more than we do then.
        """
        statements = [base64.b64encode(one.statement).decode() for one in page]
        asked = {"hall": self._hall, "certificates": self._certificates, "manifests": statements}
        body = gzip.compress(json.dumps(asked).encode(), compresslevel=1, mtime=0)
        key = f"manifests {page[0].position} to {page[-1].position}"
        status, answer = exchange(self._client, "/api/v1/manifests", key, body)
        if status != 200:
            raise UnavailableError(f"http_{status}")
        for one, reason in zip(page, _reasons(answer, len(page)), strict=True):
            self._metrics.count("manifests_forwarded", verdict="refused" if reason else "stored")
            if reason:
                _log.error("manifest refused by central", position=one.position, reason=reason[:40])


def _reasons(answer: bytes, count: int) -> list[str]:
    """Why each manifest was refused, "" where it was not. Raises UnavailableError when this is no answer."""
    try:
        found = [str(one["reason"] or "") for one in json.loads(answer)["verdicts"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnavailableError("answer_unreadable") from None
    if len(found) != count:
        raise UnavailableError("verdict_missing")
    return found


class DueManifests:
    """The chain of manifests as the central system follows it: those whose records it has, up to forwarded()."""

    def __init__(self, ledger: Ledger, forwarded: Callable[[], int]) -> None:
        self._ledger = ledger
        self._forwarded = forwarded

    def records_after(self, position: int, limit: int) -> list[StoredManifest]:
        """Up to `limit` manifests above number `position`, ascending."""
        found = self._ledger.read(lambda connection: manifests.after(connection, position, limit))
        forwarded = self._forwarded()
        return [one for one in found if one.record_position <= forwarded]

    def last_position(self) -> int:
        """Number of the newest manifest."""
        return self._ledger.read(manifests.last).number

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Wait for something new in the ledger, at most `timeout_s`."""
        return self._ledger.wait_beyond(self._ledger.last_position(), timeout_s)


class Notary:
    """Both followers. devices: see RegisterBook. now_s: hall time."""

    def __init__(
        self,
        hall: str,
        ledger: Ledger,
        keys: EvidenceKeys,
        book: RegisterBook,
        now_s: Callable[[], int],
        metrics: Metrics,
        operator_head: manifests.OperatorHead = lambda connection: None,
    ) -> None:
        self._hall = hall
        self._ledger = ledger
        self._keys = keys
        self._metrics = metrics
        self._client: httpx.Client | None = None
        self._due = DueRecords(ledger, now_s)
        made = ManifestBook(hall, ledger, keys, book.current, now_s, metrics, operator_head)
        covered = ledger.read(manifests.last).position
        self._making: Projection[LedgerRecord] = Projection(
            "manifest", self._due, covered, made.take, lambda done: ledger.set_cursor(STATED_CURSOR, done), metrics
        )
        self._forwarding: Projection[StoredManifest] | None = None
        for name, text in _METRICS.items():
            metrics.describe(name, text)
        metrics.watch("manifest_behind", self._making.behind)

    def forward_to(self, central: CentralSettings, forwarded: Callable[[], int]) -> None:
        """Hand the manifests to the central system as well. forwarded: the position to which it has the records."""
        token = tokens.read("central", "token_file", central.token_file)
        self._client = central_client(central.url, token or "", central.ca)
        forwarder = ManifestForwarder(self._hall, self._client, self._keys.certificates, self._metrics)
        self._forwarding = Projection(
            "central-manifests",
            DueManifests(self._ledger, forwarded),
            self._ledger.cursor(CURSOR),
            forwarder.take,
            lambda number: self._ledger.set_cursor(CURSOR, number),
            self._metrics,
            PAGE_MANIFESTS,
        )

    def start(self) -> None:
        """Begin to follow."""
        self._making.start()
        if self._forwarding is not None:
            self._forwarding.start()

    def stop(self) -> None:
        """State what is not stated yet, and end. What is not forwarded waits for the next start."""
        self._due.ending = True
        self._making.stop(STOP_S)
        if not self._making.alive():
            self._state_the_rest()
        if self._client is not None:
            self._client.close()
        if self._forwarding is not None:
            self._forwarding.stop()

    def _state_the_rest(self) -> None:
        """The thread may have looked for the last time just before everything became due."""
        try:
            self._making.step()
        except Exception as error:  # it stays in the ledger, for the next start
            _log.error("last manifest not made", error)


_METRICS: Mapping[str, str] = {
    "manifests": "Signed manifests made, each of a quarter of an hour or less.",
    "manifests_forwarded": "Manifests handed to the central system, by its verdict.",
    "manifest_behind": "Records that no manifest covers yet.",
}
