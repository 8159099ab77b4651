"""The same person within one month, and never beyond it: a keyed hash of the identity, under a key that is destroyed.

    pseudonym = the first 16 bytes of HMAC-SHA256(key of the month, "hallseal/1 pseudonym" 0 field 0 value), in hex
    field     = "id_number" where one was given, else "phone"; a name alone is no identity
    value     = as gateway.identity_forms reads it, so that spaces, +86 or full-width digits make no other person

It lets the central system see that one person gave many ratings. While a month's key lives, whoever has the ledger's
file could try identities against it; afterwards nobody can, and two months have nothing in common. It goes to the
central system only: no page, no metric and no time series has it.
"""

import hmac
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gateway import identity_forms, schema
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from gateway.ledger_file import LedgerError
from gateway.logs import Log
from protocol import rating

KEY_BYTES = 32
# 128 bits: a hall would need 2^64 persons before two shared one.
PSEUDONYM_BYTES = 16
_CONTEXT = b"hallseal/1 pseudonym"

_log = Log("pseudonym")


def month_of(now_s: int, utc_offset_s: int) -> int:
    """Number of the hall's local month: 12 * year + month - 1."""
    local = datetime.fromtimestamp(now_s + utc_offset_s, UTC)
    return 12 * local.year + local.month - 1


def of_identity(key: bytes, identity: Mapping[int, str]) -> str | None:
    """32 hex digits for an identity (keys of protocol.rating); None when it holds neither number nor phone."""
    found = _known_by(identity)
    if found is None:
        return None
    message = b"\0".join([_CONTEXT, found[0].encode(), found[1].encode()])
    return hmac.digest(key, message, "sha256")[:PSEUDONYM_BYTES].hex()


def _known_by(identity: Mapping[int, str]) -> tuple[str, str] | None:
    document = identity_forms.document(identity.get(rating.ID_NUMBER, ""))
    if document is not None:
        return "id_number", document.number
    phone = identity_forms.phone(identity.get(rating.PHONE, ""))
    return None if phone is None else ("phone", " ".join((phone.area, phone.number, phone.extension)))


class Pseudonyms:
    """Owns the key of the month. Any thread, but never a job of the ledger: a new month waits for one commit."""

    def __init__(self, ledger: Ledger, clock: HallClock, utc_offset_s: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._utc_offset_s = utc_offset_s
        self._lock = threading.Lock()
        self._month: int | None = None
        self._key = b""

    def of(self, identity: Mapping[int, str]) -> str | None:
        """The pseudonym in this month, whenever the rating was made: the key of an earlier one is no more.

        None without number or phone, or when the ledger gives no key: a rating does not fail for it.
        """
        try:
            return of_identity(self._key_of_now(), identity)
        except (SQLAlchemyError, LedgerError) as error:
            _log.warning("no key for this month yet", type=type(error).__name__)
            return None

    def rotate(self) -> None:
        """Make sure that no key but this month's exists. Raises LedgerError or SQLAlchemyError."""
        self._key_of_now()

    def _key_of_now(self) -> bytes:
        with self._lock:
            month = month_of(self._clock.now_s(), self._utc_offset_s)
            if month != self._month:
                self._key = self._ledger.write(lambda connection: _turn(connection, month)).result()
                self._month = month
            return self._key


def _turn(connection: Connection, month: int) -> bytes:
    """The key of `month`, made now if there is none; those of all other months are destroyed.

    secure_delete overwrites them in the file, and the daily round takes what the write-ahead log still holds.
    """
    table = schema.pseudonym_key
    connection.execute(delete(table).where(table.c.month != month))
    key = connection.execute(select(table.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(KEY_BYTES)
        connection.execute(insert(table), [{"month": month, "key": key}])
    return bytes(key)
