"""Rules about the place that a device states for a rating or a punch."""

from gateway.facts import RecordFacts
from gateway.rule import FLAG, Checked
from protocol import punch, rating
from protocol.record import RATING


def _window(facts: RecordFacts) -> bool:
    claims = facts.record.claims
    return claims[rating.WINDOW if facts.record.kind == RATING else punch.DOOR] != facts.device.place


ALONE: tuple[Checked[RecordFacts], ...] = (
    Checked(
        "window",
        FLAG,
        "made at another window or door than the registry has for the device",
        "不在设备登记的窗口或门上产生",
        check=_window,
    ),
)
