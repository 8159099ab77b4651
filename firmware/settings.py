"""Settings from the gateway: config and roster, each in two copies with the counter of the command that brought it."""

from firmware.twin_file import TwinFile
from protocol import cbor, command

DEFAULTS = {
    command.VERSION: 0,
    command.LANGUAGE: "zh",
    command.RATING_TIMEOUT_S: 60,  # domain reference V8
    command.HEARTBEAT_S: 300,
    command.BRIGHTNESS: 128,
    command.UTC_OFFSET_MIN: 480,  # China has one time zone
    command.RATE_STAFF: 0,
    command.TAG_CODES: (),
    command.ASK_PHONE: 0,
    command.ERASE_ON_TAMPER: 0,
    command.SENSOR_PASSWORD: 0,
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

    def get(self, key, default=None):
        """The value of the config in force, or the default."""
        return self._config.get(key, DEFAULTS.get(key, default))

    def staff(self, slot):
        """(staff number, display name) of a sensor slot, or None."""
        for row in self.roster():
            if row[0] == slot:
                return row[1], row[2]
        return None

    def roster(self):
        """Rows of the roster (see command.ROSTER_ROWS). Decoded each time: a table would fill the heap."""
        return self._load(self._roster_file)[1].get(command.STAFF_ROWS, ())

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
