"""Rules about the visit that a rating belongs to. What became of a visit only its book knows, see visit_settling.py."""

from gateway.facts import RecordFacts
from gateway.rule import FLAG, Checked, Rule
from protocol import rating


def _visit_missing(facts: RecordFacts) -> bool:
    visit = facts.disclosed.get(rating.OCCASION, (0, ""))[1]
    return facts.record.claims[rating.MODE] == rating.VISIT_MODE and not visit


ALONE: tuple[Checked[RecordFacts], ...] = (
    Checked(
        "visit_missing",
        FLAG,
        "a rating for a visit, without visit number",
        "办件评价没有办件编号",
        check=_visit_missing,
    ),
)

# Codes of Settling.settle: in the ledger's transaction, for the state changes with the record.
BOOK = (
    Rule(
        "visit_unknown",
        FLAG,
        "not opened at this gateway today or yesterday (UTC), and older visits are not kept; or nobody was asked yet",
        "今天和昨天（UTC）没有在本网关发起过该办件（更早的不留存），或尚未询问",
    ),
    Rule("visit_other_window", FLAG, "the visit was opened at another window", "办件是在另一个窗口发起的"),
    Rule("visit_closed", FLAG, "the business system had cancelled the visit", "业务系统已撤销该办件"),
    Rule(
        "visit_superseded",
        FLAG,
        "the next visit at the window was opened before this outcome arrived",
        "结果送达之前，该窗口已发起下一办件",
    ),
    Rule(
        "visit_late", FLAG, "made long after the question for the visit should have ended", "评价时间远晚于提问结束时间"
    ),
    Rule("visit_again", FLAG, "a second outcome of one visit", "同一办件的第二次结果"),
)
