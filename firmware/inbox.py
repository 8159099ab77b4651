"""The inbox opens what the gateway sends: receipts for the uplink, commands for the device, each believed only once."""

from protocol import command, encrypt0, receipt
from protocol.record import NO_TIME
from protocol.refusal import Refused

# Kept over a reboot: a replayed config would undo a newer one. The others expire within minutes, and none of them is
# taken before the clock is synchronised again.
DURABLE = (command.CONFIG, command.ROSTER)


class Inbox:
    """channel: device side. command_key: key object. counter: highest durable counter seen, from the settings.

    on_receipt(Receipt); on_command(Command). dropped: messages that were not believed, or could not be kept. broken:
    True while the flash did not take what it was to keep of a message, until it keeps settings again.
    """

    def __init__(self, topic, channel, command_key, wall_clock, counter, on_receipt, on_command):
        self._topic = topic
        self._channel = channel
        self._command_key = command_key
        self._clock = wall_clock
        self._counter = counter
        self._on_receipt = on_receipt
        self._on_command = on_command
        self.dropped = 0
        self.broken = False

    def take(self, topic, message, retained):
        """One message from the broker. A retained one is of unknown age and dropped."""
        try:
            if retained or topic != self._topic:
                raise Refused("topic")
            envelope = encrypt0.parse(message)
            if envelope.typ == receipt.TYP:
                found = receipt.decode(self._channel.open_envelope(receipt.TYP, envelope))
                self._on_receipt(found)
            else:
                self._take_command(command.open_envelope(self._channel, self._command_key, envelope))
        except (Refused, MemoryError):  # a message too large for this heap is no reason to stop rating
            self.dropped += 1
        except OSError:  # no fault of the link: the gateway sends it again until it is told that we have it
            self.dropped += 1
            self.broken = True

    def _take_command(self, found):
        if found.counter <= self._counter:
            raise Refused("schema", "counter")
        if found.kind != command.TIME_ANSWER and (
            self._clock.source == NO_TIME or found.expires_s < self._clock.now_s()
        ):
            raise Refused("schema", "expires_s")
        self._counter = found.counter
        self._on_command(found)
        if found.kind in DURABLE:
            self.broken = False
