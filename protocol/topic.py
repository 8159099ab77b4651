"""MQTT topics: `hallseal/1/<hall>/<device>/up` and `/down`. The topic is authenticated data of every message."""

from protocol.limits import NAME_CHARS_MAX
from protocol.refusal import Refused

PREFIX = "hallseal/1"
UP = "up"
DOWN = "down"
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def is_name(text: object) -> bool:
    """True for a hall or device name: 1 to NAME_CHARS_MAX of a-z, 0-9 and "-"."""
    if not isinstance(text, str) or not 1 <= len(text) <= NAME_CHARS_MAX:
        return False
    return all(char in _NAME_CHARS for char in text)


def _join(hall: str, device: str, direction: str) -> str:
    if not is_name(hall) or not is_name(device):
        raise ValueError("name")
    return PREFIX + "/" + hall + "/" + device + "/" + direction


def up(hall: str, device: str) -> str:
    """Topic of a device's records."""
    return _join(hall, device, UP)


def down(hall: str, device: str) -> str:
    """Topic of a device's receipts and commands."""
    return _join(hall, device, DOWN)


def all_up(hall: str) -> str:
    """The gateway's subscription: every record of a hall."""
    if not is_name(hall):
        raise ValueError("name")
    return PREFIX + "/" + hall + "/+/" + UP


def parse(topic: str) -> tuple[str, str, str]:
    """(hall, device, "up" or "down") of a topic. Raises Refused("topic")."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[0] + "/" + parts[1] != PREFIX or parts[4] not in (UP, DOWN):
        raise Refused("topic")
    if not is_name(parts[2]) or not is_name(parts[3]):
        raise Refused("topic")
    return parts[2], parts[3], parts[4]
