"""What the central double keeps: each record once, and counts of everything that was offered."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from protocol import manifest, record
from simulator import central_annotations
from simulator.annotation_check import CheckedAnnotation
from simulator.central_check import Checked

STORED, DUPLICATE, EQUIVOCATION = "stored", "duplicate", "equivocation"

_TABLES = """
CREATE TABLE IF NOT EXISTS record (
    position INTEGER PRIMARY KEY, device TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    kind INTEGER NOT NULL, level INTEGER, digest BLOB NOT NULL, prev BLOB NOT NULL, evidence BLOB NOT NULL,
    word BLOB NOT NULL, disclosed INTEGER NOT NULL, pseudonym TEXT, item_code TEXT, stored_real_s REAL NOT NULL,
    UNIQUE (device, stream, seq));
CREATE TABLE IF NOT EXISTS operator_head (number INTEGER PRIMARY KEY, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS offered (what TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS manifest (
    number INTEGER PRIMARY KEY, link BLOB NOT NULL, statement BLOB NOT NULL, reason TEXT NOT NULL);
"""
_STREAMS = """
SELECT device, stream, max(seq), max(seq) - count(*) FROM record GROUP BY device, stream ORDER BY min(position)
"""
# One person may well come five times a month; who rates more often deserves a look (domain reference P12).
REPEATS_MAX = 5
_REPEATED_RATERS = f"""
SELECT count(*) FROM (SELECT pseudonym FROM record WHERE pseudonym IS NOT NULL GROUP BY pseudonym
HAVING count(*) > {REPEATS_MAX})
"""  # noqa: S608  # our own number
_BROKEN_LINKS = """
SELECT count(*) FROM record one JOIN record before ON before.device = one.device AND before.stream = one.stream
AND before.seq = one.seq - 1 WHERE substr(before.digest, 1, 16) != one.prev
"""
_ITEMS = "SELECT item_code, count(*) FROM record WHERE item_code IS NOT NULL GROUP BY item_code"


class KeptManifest(NamedTuple):
    """A manifest that the gateway signed. link: what the next one names. reason: why it is not true, "" where it is."""

    number: int
    link: bytes
    statement: bytes
    reason: str


class CentralStore:
    """One SQLite file, or memory without a path; any thread may call."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._below = 0  # batches in a row whose operator log ended below what it had
        self._connection = sqlite3.connect(str(path or ":memory:"), check_same_thread=False, isolation_level=None)
        # Durable before the verdict: the gateway forgets nothing, but it does not offer again what we called stored.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_TABLES + central_annotations.TABLE)

    def take(self, batch: Sequence[Checked | CheckedAnnotation | str], real_s: float) -> list[str]:
        """Store a batch in one transaction. batch: checked records or annotations, or why one was refused.

        Returns for each "stored", "duplicate", "equivocation" (another payload has its number) or the reason.
        """
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                verdicts = [self._take_one(one, real_s) for one in batch]
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        return verdicts

    def _take_one(self, one: Checked | CheckedAnnotation | str, real_s: float) -> str:
        if isinstance(one, str):
            self._count("refused: " + one)
            return one
        if isinstance(one, CheckedAnnotation):
            return self._take_annotation(one)
        found = self._connection.execute(
            "SELECT digest FROM record WHERE device = ? AND stream = ? AND seq = ?", (one.device, one.stream, one.seq)
        ).fetchone()
        if found is not None:
            verdict = DUPLICATE if found[0] == one.digest else EQUIVOCATION
            self._count(verdict)
            return verdict
        row = (one.device, one.stream, one.seq, one.kind, one.level, one.digest, one.prev, one.evidence, one.word)
        self._connection.execute(
            "INSERT INTO record (device, stream, seq, kind, level, digest, prev, evidence, word, disclosed, pseudonym, "
            "item_code, stored_real_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, len(one.disclosed), one.pseudonym, one.item_code, real_s),
        )
        if one.sealed_removed:
            self._count("sealed_removed")
        if not one.masked_ok:
            self._count("unmasked")
        for flag in one.flags:
            self._count("flag: " + flag)
        return STORED

    def take_operator_head(self, number: int, digest: str) -> None:
        """Note the end of the hall's operator log, as a batch has stated it. digest: 64 hex digits.

        Counts "log changed" when the line of that number had another hash, and "log shrank" when the log ends below
        what it had: for the second batch in a row, for one may have been under way when a newer one arrived.
        """
        with self._lock:
            kept = self._rows("SELECT hash FROM operator_head WHERE number = ?", number)
            ((newest,),) = self._rows("SELECT coalesce(max(number), 0) FROM operator_head")
            if number >= newest:
                self._below = 0
                self._connection.execute("INSERT OR IGNORE INTO operator_head VALUES (?, ?)", (number, digest))
            else:
                self._below += 1
            if self._below == 2:
                self._count("log shrank")
            if kept and kept[0][0] != digest:
                self._count("log changed")

    def operator_heads(self) -> list[tuple[int, str]]:
        """All ends of the operator log that were stated, (number, hash), ascending."""
        with self._lock:
            return self._rows("SELECT number, hash FROM operator_head ORDER BY number")

    def _operator_log(self, offered: dict[str, int]) -> dict[str, object]:
        number, digest = next(iter(self._rows("SELECT max(number), hash FROM operator_head")))
        changed, shrank = offered.get("log changed", 0), offered.get("log shrank", 0)
        return {"number": number or 0, "hash": digest, "changed": changed, "shrank": shrank}

    def _take_annotation(self, one: CheckedAnnotation) -> str:
        verdict = central_annotations.take(self._connection, one)
        if verdict != STORED:
            self._count("annotation " + verdict)
        return verdict

    def _count(self, what: str) -> None:
        self._connection.execute(
            "INSERT INTO offered VALUES (?, 1) ON CONFLICT (what) DO UPDATE SET count = count + 1", (what,)
        )

    def run(self, device: str, stream: bytes, first: int, last: int) -> list[tuple[bytes, bytes]]:
        """(digest, word) of the records of one stream from `first` to `last`, ascending."""
        with self._lock:
            return self._connection.execute(
                "SELECT digest, word FROM record WHERE device = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
                (device, stream.hex(), first, last),
            ).fetchall()

    def last_manifest(self) -> tuple[int, bytes]:
        """(number, link) of the newest manifest; (0, zeros) before the first."""
        with self._lock:
            query = "SELECT number, link FROM manifest ORDER BY number DESC LIMIT 1"
            found = self._connection.execute(query).fetchone()
        return (found[0], found[1]) if found else (0, manifest.GENESIS)

    def manifest_link(self, number: int) -> bytes | None:
        """Link of a manifest; None where there is none of this number."""
        with self._lock:
            query = "SELECT link FROM manifest WHERE number = ?"
            found = self._connection.execute(query, (number,)).fetchone()
        return found[0] if found else None

    def keep_manifest(self, kept: KeptManifest) -> None:
        """Keep a manifest, true or not; durable when this returns."""
        with self._lock:
            self._connection.execute("INSERT INTO manifest VALUES (?, ?, ?, ?)", kept)

    def summary(self) -> dict[str, object]:
        """Counts of everything, as `/api/v1/summary` gives them."""
        with self._lock:
            offered: dict[str, int] = dict(self._rows("SELECT what, count FROM offered"))
            refused = {what[9:]: count for what, count in offered.items() if what.startswith("refused: ")}
            flagged = {what[6:]: count for what, count in offered.items() if what.startswith("flag: ")}
            return {
                "records": self._one("SELECT count(*) FROM record"),
                "distinct": self._one("SELECT count(*) FROM (SELECT DISTINCT device, stream, seq FROM record)"),
                "duplicates_offered": offered.get(DUPLICATE, 0),
                "equivocations": offered.get(EQUIVOCATION, 0),
                "refused": refused,
                "flagged": flagged,
                "unmasked": offered.get("unmasked", 0),
                "sealed_removed": offered.get("sealed_removed", 0),
                "raters": self._one("SELECT count(DISTINCT pseudonym) FROM record"),
                "repeated_raters": self._one(_REPEATED_RATERS),
                "operator_log": self._operator_log(offered),
                "annotations": {
                    **central_annotations.summary(self._connection),
                    "duplicates_offered": offered.get("annotation " + DUPLICATE, 0),
                    "equivocations": offered.get("annotation " + EQUIVOCATION, 0),
                },
                "by_kind": self._by_kind(),
                "levels": dict(self._rows("SELECT level, count(*) FROM record WHERE level IS NOT NULL GROUP BY level")),
                "by_device": self._by_device(),
                "manifests": self._one("SELECT count(*) FROM manifest"),
                "manifests_refused": dict(
                    self._rows("SELECT reason, count(*) FROM manifest WHERE reason != '' GROUP BY reason")
                ),
                "broken_links": self._one(_BROKEN_LINKS),
                "disclosures_opened": self._one("SELECT coalesce(sum(disclosed), 0) FROM record"),
                "items": dict(self._rows(_ITEMS)),
                "first_rating_real_s": self._one(
                    f"SELECT min(stored_real_s) FROM record WHERE kind = {record.RATING}"  # noqa: S608
                ),
            }

    def _by_kind(self) -> dict[str, int]:
        rows = self._rows("SELECT kind, count(*) FROM record GROUP BY kind")
        return {record.KIND_NAMES[kind]: count for kind, count in rows}

    def _by_device(self) -> dict[str, dict[str, int]]:
        names = {record.RATING: "ratings", record.PUNCH: "punches", record.EVENT: "events"}
        found: dict[str, dict[str, int]] = {}
        for device, kind, count in self._rows("SELECT device, kind, count(*) FROM record GROUP BY device, kind"):
            counts = found.setdefault(
                device, {"records": 0, "ratings": 0, "punches": 0, "events": 0, "head": 0, "gaps": 0}
            )
            counts["records"] += count
            counts[names[kind]] += count
        for device, _stream, head, gaps in self._rows(_STREAMS):
            found[device]["head"] = head  # of the newest stream: the rows come in that order
            found[device]["gaps"] += gaps
        return found

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._connection.execute(query, values).fetchall()

    def _one(self, query: str) -> object:
        return self._connection.execute(query).fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
