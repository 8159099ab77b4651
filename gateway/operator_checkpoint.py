"""What is too old leaves the operator log, behind a line that says what left: the chain stays whole from there on."""

from sqlalchemy import Connection, delete, func, select

from gateway import schema
from gateway.operator_log import CHECKPOINT, Head, Note, append

# Six months are the law's least (see gateway.operator_check). A hall's staff are assessed by the year, and appeals come
# later; five years of a busy hall's lines are some tens of megabytes.
KEPT_S = 5 * 366 * 24 * 3600
# A checkpoint is a line, too: fewer are not worth one.
LINES_MIN = 1000
# In one transaction, which holds up the intake for some ten milliseconds; the next day takes the next.
LINES_MAX = 10_000


def compact(connection: Connection, now_s: int) -> int:
    """Remove lines older than KEPT_S, after a checkpoint line; how many went. In a job of the ledger's writer.

    The newest of the old lines stays: its time, under the chain's hashes, proves the age of those before it.
    """
    table = schema.operator_action
    young = connection.execute(select(func.min(table.c.number)).where(table.c.at_s > now_s - KEPT_S)).scalar()
    first, last = connection.execute(select(func.min(table.c.number), func.max(table.c.number))).one()
    if first is None:
        return 0
    newest_old = young - 1 if young is not None else last
    through = min(newest_old - 1, first + LINES_MAX - 1)
    count: int = through - first + 1
    if count < LINES_MIN:
        return 0
    leaving = table.c.number <= through
    head = Head(*connection.execute(select(table.c.number, table.c.hash).where(table.c.number == through)).one())
    until_s = connection.execute(select(func.max(table.c.at_s)).where(leaving)).scalar()
    stated = {"through": head.number, "hash": head.hash.hex(), "until_s": until_s, "lines": count}
    append(connection, now_s, Note("gateway", CHECKPOINT, "", stated))
    connection.execute(delete(table).where(leaving))
    return count
