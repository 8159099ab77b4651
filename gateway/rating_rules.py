"""Rules about ratings. They mark; not one of them can refuse, whatever the level."""

from gateway.facts import PastFacts, RecordFacts
from gateway.rule import FLAG, Checked
from protocol import rating

BAD_LEVEL_MAX = 2  # domain reference P4: the last two levels are bad


def _tags(facts: RecordFacts) -> list[int]:
    tags = facts.record.claims.get(rating.TAGS)
    return tags if isinstance(tags, list) else []


def _reason_missing(facts: RecordFacts) -> bool:
    level = facts.record.claims.get(rating.LEVEL)
    is_bad = isinstance(level, int) and level <= BAD_LEVEL_MAX
    return is_bad and not _tags(facts) and rating.COMMENT not in facts.disclosed


def _tag_level(facts: RecordFacts) -> bool:
    claims = facts.record.claims
    return any(tag // 100 not in (claims[rating.LEVEL], claims.get(rating.STAFF_LEVEL)) for tag in _tags(facts))


def _tag_retired(facts: RecordFacts) -> bool:
    return not facts.hall.tags.issuperset(_tags(facts))


def _quick(facts: RecordFacts) -> bool:
    claims = facts.record.claims
    delay_ms = claims.get(rating.DELAY_MS)
    return rating.LEVEL in claims and isinstance(delay_ms, int) and delay_ms < facts.hall.settings.quick_ms


def _burst(facts: PastFacts) -> bool:
    limits = facts.settings
    return facts.in_minute > limits.burst_minute or facts.in_quarter > limits.burst_quarter


def _level_run(facts: PastFacts) -> bool:
    return facts.level_run >= facts.settings.level_run


ALONE: tuple[Checked[RecordFacts], ...] = (
    Checked(
        "reason_missing",
        FLAG,
        "a bad rating without tag and comment",
        "差评没有勾选原因也没有留言",
        tells_level=True,
        check=_reason_missing,
    ),
    Checked(
        "tag_level",
        FLAG,
        "a tag that belongs to another level",
        "勾选的原因属于别的等级",
        tells_level=True,
        check=_tag_level,
    ),
    Checked(
        "tag_retired",
        FLAG,
        "a tag that is not in force: retired, or never in the list",
        "勾选的原因已停用或不在清单中",
        tells_level=True,
        check=_tag_retired,
    ),
    Checked("quick", FLAG, "pressed faster than a person can read the question", "按得比人读完提问还快", check=_quick),
)

PAST: tuple[Checked[PastFacts], ...] = (
    Checked(
        "burst",
        FLAG,
        "more ratings at one window, in a minute or a quarter of an hour, than visitors can give",
        "同一窗口短时间内评价过多，超出办事群众可能的数量",
        check=_burst,
    ),
    Checked(
        "level_run",
        FLAG,
        "one of a long run of the same level at one window",
        "同一窗口连续多次同一等级",
        tells_level=True,
        check=_level_run,
    ),
)
