"""One Channel per device, made when it is first needed and kept in a bounded cache."""

import threading
from collections import OrderedDict
from typing import Any

from gateway.registry import Device
from protocol import channel, command, encrypt0, receipt, sealed_record, sign1
from protocol.suite_host import HostSuite

# About 3 KiB each: 12 MiB. A hall has some hundred devices; beyond the bound the longest unused is derived again.
CHANNELS_MAX = 4096


class Channels:
    """Opens what devices sent and seals what they get. Any thread may call: a Channel serves one at a time."""

    def __init__(self, suite: HostSuite, hall: str, agreement: Any, commands: sign1.Signer) -> None:
        self._suite = suite
        self._hall = hall
        self._agreement = agreement
        self._commands = commands
        self._lock = threading.Lock()
        self._channels: OrderedDict[tuple[str, bytes], channel.Channel] = OrderedDict()

    def _channel(self, device: Device) -> channel.Channel:
        """The channel to the device's present agreement key; a new key in the registry means a new channel."""
        key = (device.name, device.agreement)
        found = self._channels.get(key)
        if found is None:
            public = self._suite.load_public(device.agreement)
            found = channel.Channel(self._suite, self._hall, device.name, self._agreement, public, channel.GATEWAY)
            self._channels[key] = found
            if len(self._channels) > CHANNELS_MAX:
                self._channels.popitem(last=False)
        else:
            self._channels.move_to_end(key)
        return found

    def open_record(self, device: Device, envelope: encrypt0.Envelope) -> sign1.Signed:
        """The signed record inside; not verified yet. Raises Refused, also when the key id names another device."""
        with self._lock:
            return sealed_record.open_envelope(self._channel(device), envelope)

    def seal_receipt(self, device: Device, content: receipt.Receipt) -> bytes:
        """The message that carries a receipt."""
        with self._lock:
            return receipt.seal(self._channel(device), content)

    def seal_command(self, device: Device, content: command.Command) -> bytes:
        """The message that carries a command, signed. Raises Refused("schema") or ValueError: no device takes it."""
        with self._lock:
            return command.seal(self._channel(device), self._commands, content)
