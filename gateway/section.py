"""One section of gateway.toml: its keys, read with the checks and words that all sections share."""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

_TIME_OF_DAY = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")


class ConfigurationError(Exception):
    """The configuration cannot be used. str() is one line for the technician: where, what, and what to do."""


class Section:
    """One table of the file; reads keys with the checks and words that all sections share."""

    def __init__(self, name: str, values: Mapping[str, object], folder: Path) -> None:
        self._name = name
        self._values = values
        self._folder = folder

    def refusal(self, key: str, complaint: str) -> ConfigurationError:
        """The error for a value that cannot be used."""
        return ConfigurationError(f"[{self._name}] {key}: {complaint}")

    def _value(self, key: str, default: object) -> object:
        value = self._values.get(key, default)
        if value is None:
            raise self.refusal(key, "is missing; add it")
        return value

    def has(self, key: str) -> bool:
        """True when the file gives the key."""
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        """Text that is not empty."""
        value = self._value(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(key, "must be text in quotes, and not empty")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number, low <= number <= high."""
        value = self._value(key, default)
        if not isinstance(value, int) or not _is_within(value, low, high):
            raise self.refusal(key, f"must be a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """A number, low <= number <= high."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.refusal(key, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.refusal(key, "must be true or false")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of `choices`."""
        value = self.text(key, default)
        if value not in choices:
            raise self.refusal(key, "must be one of " + ", ".join(choices))
        return value

    def choices(self, key: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Some of `choices`, each once; none where the key is absent."""
        values = self._values.get(key, [])
        if not isinstance(values, list) or not all(one in choices for one in values) or len(set(values)) < len(values):
            raise self.refusal(key, "must be a list of some of " + ", ".join(choices))
        return tuple(values)

    def path(self, key: str, default: str | None = None) -> Path:
        """A path, meant from the folder of the file."""
        return self._folder / self.text(key, default)

    def file(self, key: str) -> Path:
        """The path of a file that is there."""
        path = self.path(key)
        if not path.is_file():
            raise self.refusal(key, f"there is no file {path}; check the path, or make the hall again")
        return path

    def optional_file(self, key: str) -> Path | None:
        """The path of a file that is there; None where the key is absent."""
        return self.file(key) if self.has(key) else None

    def minute(self, key: str) -> int | None:
        """Minutes after midnight (0..1439) of a time of day like "08:30"; None where the key is absent."""
        if not self.has(key):
            return None
        value = self._values[key]
        found = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.refusal(key, 'must be a time of day in quotes, like "08:30"')
        return 60 * int(found[1]) + int(found[2])

    def day_s(self, key: str, default: int) -> int:
        """UTC seconds of the beginning of a day like 2026-01-01, written without quotes."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
            raise self.refusal(key, "must be a day without quotes, like 2026-01-01")
        return int(datetime.datetime.combine(value, datetime.time(), datetime.UTC).timestamp())

    def numbers(self, key: str, low: int, high: int, count_max: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """Up to `count_max` different whole numbers, low <= number <= high, in their order."""
        values = self._values.get(key, list(default))
        if (
            not isinstance(values, list)
            or not all(_is_within(one, low, high) for one in values)
            or not len(set(values)) == len(values) <= count_max
        ):
            raise self.refusal(key, f"must be a list of at most {count_max} different whole numbers, {low} to {high}")
        return tuple(values)


def _is_within(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
