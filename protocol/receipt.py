"""The gateway's receipt: what of a stream is on its disk. Only a receipt lets a device forget a record."""

from protocol import cbor, field
from protocol.channel import Channel
from protocol.limits import SEQ_MAX
from protocol.refusal import Refused

TYP = "hs-rcp"
THROUGH, HOLES, HIGHEST, STREAM = 2, 3, 4, 10

ROWS = field.table("""
     2 through int   0 4294967295 required
     3 holes   list  0         16 required
     4 highest int   0 4294967295 required
    10 stream  bytes 8          8 required
""")


class Receipt:
    """What is durable of a stream (8 bytes): every seq from 1 to `through`, and to `highest` all but `holes`.

    holes: [[first, last], …], inclusive, ascending, all between `through` and `highest`. Of what lies above `highest`
    the receipt says nothing.
    """

    def __init__(self, stream: bytes, through: int, holes: list[list[int]], highest: int) -> None:
        self.stream = stream
        self.through = through
        self.holes = holes
        self.highest = highest


def _check_holes(through: int, holes: list[object], highest: int) -> None:
    """Ascending, apart, above `through`, and each with something durable behind it."""
    after = through
    for hole in holes:
        if not isinstance(hole, list) or len(hole) != 2:
            raise Refused("schema", "hole")
        first, last = hole
        field.check_value("hole", first, field.INT, after + 1, SEQ_MAX)
        field.check_value("hole", last, field.INT, first, SEQ_MAX)
        after = last + 1  # two holes never touch: they would be one
    field.check_value("highest", highest, field.INT, after, SEQ_MAX)


def encode(receipt: Receipt) -> bytes:
    """The plaintext of a receipt. Raises Refused("schema") for one that no device would take."""
    fields: dict[int, object] = {
        THROUGH: receipt.through,
        HOLES: receipt.holes,
        HIGHEST: receipt.highest,
        STREAM: receipt.stream,
    }
    field.check(ROWS, fields)
    _check_holes(receipt.through, list(receipt.holes), receipt.highest)
    return cbor.encode(fields)


def decode(content: bytes) -> Receipt:
    """The receipt in a plaintext. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(content)
    field.check(ROWS, fields)
    through, holes, highest = fields[THROUGH], fields[HOLES], fields[HIGHEST]
    _check_holes(through, holes, highest)  # type: ignore[arg-type]  # the rows have looked at the types
    return Receipt(fields[STREAM], through, holes, highest)  # type: ignore[arg-type]


def seal(channel: Channel, receipt: Receipt) -> bytes:
    """The message to the device. Not signed: the down key is known to this gateway and this device alone."""
    return channel.seal(TYP, encode(receipt))


def open(channel: Channel, message: bytes) -> Receipt:
    """The receipt in a message from the gateway. Raises Refused."""
    return decode(channel.open(TYP, message))
