"""Rules about continuity: what a record's number and hash say about those before it."""

from gateway.facts import StreamFacts
from gateway.rule import EVIDENCE, FLAG, Checked


def _one_too_many(facts: StreamFacts) -> bool:
    return facts.one_too_many


def _reopened(facts: StreamFacts) -> bool:
    return facts.opens and facts.number > 1


def _unopened(facts: StreamFacts) -> bool:
    return facts.seq == 1 and not facts.opens


def _previous_differs(facts: StreamFacts) -> bool:
    """What the device says of the stream before, against what the ledger knows of it."""
    return facts.opens and (facts.claimed != facts.before or facts.claimed_head < facts.before_highest)


def _chain(facts: StreamFacts) -> bool:
    return not facts.chained


def _gap(facts: StreamFacts) -> bool:
    return facts.seq > facts.highest + 1


STREAM: tuple[Checked[StreamFacts], ...] = (
    # In the stream, not in the record: the missing may come yet, and then nothing is wrong with either.
    Checked(
        "gap",
        EVIDENCE,
        "numbers before it are missing: asked for again, and counted as missing until they come",
        "之前的序号缺失：向设备补要，补到之前一直计为缺失",
        check=_gap,
    ),
    Checked(
        "unopened", FLAG, "the stream does not begin with its opening event", "记录流没有开始事件", check=_unopened
    ),
    Checked("reopened", FLAG, "the device began a new stream", "设备重新开始了记录流", check=_reopened),
    Checked(
        "previous_differs",
        FLAG,
        "the opening event names another previous stream or head than the ledger knows",
        "开始事件所说的上一记录流与账本不符",
        check=_previous_differs,
    ),
    Checked(
        "streams",
        FLAG,
        "heartbeat or opening event name one more stream than a device may: what it lacks is not counted as a gap",
        "设备提到的记录流过多，超出部分不再计缺失",
        check=_one_too_many,
    ),
    Checked("chain", FLAG, "prev is not the hash of the record before", "与前一记录的哈希链不相接", check=_chain),
)
