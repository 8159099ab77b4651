"""Settings from the gateway: config and roster, each in two copies with the counter of the command that brought it."""

from firmware.twin_file import TwinFile
from protocol import cbor, command

DEFAULTS = {
    command.VERSION: 0,
    command.LANGUAGE: "zh",
    command.RATING_TIMEOUT_S: 60,  # domain reference V8
    command.HEARTBEAT_S: 300,
    command.BRIGHTNESS: 128,
}


class Settings:
    """get(key): a value of the config, by its key in command.CONFIG_ROWS, or its default."""

    def __init__(self, root):
        self._config_file = TwinFile(root + "/config")
        self._roster_file = TwinFile(root + "/roster")
        config = self._load(self._config_file)
        roster = self._load(self._roster_file)
        self._config = config[1]
        self.roster_version = roster[1].get(command.ROSTER_VERSION, 0)
        self.counter = max(config[0], roster[0])

    def _load(self, file):
        """(counter, claims); (0, {}) before the first."""
        return cbor.decode(file.content) if file.content else (0, {})

    def get(self, key):
        return self._config.get(key, DEFAULTS.get(key))

    def staff(self, slot):
        """(staff number, display name) of a sensor slot, or None. Decoded each time: a table would fill the heap."""
        for row in self._load(self._roster_file)[1].get(command.STAFF_ROWS, ()):
            if row[0] == slot:
                return row[1], row[2]
        return None

    def store(self, found):
        """Keep a CONFIG or ROSTER command. An older version than the one in force changes nothing."""
        content = cbor.encode([found.counter, found.claims])
        if found.kind == command.CONFIG:
            if found.claims[command.VERSION] > self.get(command.VERSION):
                self._config_file.store(content)
                self._config = found.claims
        elif found.claims[command.ROSTER_VERSION] > self.roster_version:
            self._roster_file.store(content)
            self.roster_version = found.claims[command.ROSTER_VERSION]
