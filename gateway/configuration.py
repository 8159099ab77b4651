"""gateway.toml: everything that differs from hall to hall, read once at start and checked as a whole.

Every message of ConfigurationError names the key and says what to do, for a technician in the server room.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.hall_clock import HallClock
from gateway.masking import MaskingRule
from protocol import command, topic


class ConfigurationError(Exception):
    """The configuration cannot be used. str() is one line for the technician: where, what, and what to do."""


@dataclass(frozen=True)
class MqttSettings:
    """The link to the hall's broker; paths of PEM files."""

    host: str
    port: int
    server_name: str  # name that the broker's certificate must carry
    ca: Path
    certificate: Path
    key: Path
    client_id: str


@dataclass(frozen=True)
class KeySettings:
    """Paths of raw keys: 32 bytes private, 65 bytes public."""

    agreement: Path
    command: Path
    central_public: Path


@dataclass(frozen=True)
class StoreSettings:
    """Files of the stores, and what the quarantine may hold."""

    ledger: Path
    timeseries: Path
    quarantine_messages_max: int
    quarantine_bytes_max: int


@dataclass(frozen=True)
class CentralSettings:
    """The central system above the hall."""

    url: str  # https, without trailing slash
    ca: Path | None  # None: the machine's own trust store
    token_file: Path


@dataclass(frozen=True)
class PageSettings:
    """Where page and API listen. Without certificate and key: plain HTTP, on a loopback address only."""

    host: str
    port: int
    certificate: Path | None
    key: Path | None


@dataclass(frozen=True)
class DeviceSettings:
    """What every device of the hall is told by CONFIG."""

    language: str
    rating_timeout_s: int
    heartbeat_s: int
    brightness: int


@dataclass(frozen=True)
class IntakeSettings:
    """How messages are gathered to batches, and how many may wait."""

    batch_messages: int
    linger_ms: int
    inbox_messages: int


@dataclass(frozen=True)
class GatewayConfiguration:
    """All of gateway.toml, paths absolute."""

    hall: str
    mqtt: MqttSettings
    keys: KeySettings
    registry: Path
    roster: Path | None
    store: StoreSettings
    central: CentralSettings | None  # None: the hall forwards nothing (yet)
    page: PageSettings
    business_token_file: Path | None  # None: the visits API is closed
    audit_token_file: Path | None  # None: the counts of the stores are not shown
    clock: HallClock
    devices: DeviceSettings
    masking: MaskingRule
    intake: IntakeSettings


# Sections and their keys; anything else is a typing error, which must not pass for a setting that works.
_KEYS = {
    "hall": {"name"},
    "mqtt": {"host", "port", "server_name", "ca", "cert", "key", "client_id"},
    "keys": {"agreement", "command", "central_public"},
    "registry": {"path", "roster"},
    "store": {"ledger", "timeseries", "quarantine_messages_max", "quarantine_bytes_max"},
    "central": {"url", "ca", "token_file"},
    "page": {"host", "port", "cert", "key"},
    "api": {"business_token_file", "audit_token_file"},
    "clock": {"speed", "origin_s", "real0_s"},
    "devices": {"language", "rating_timeout_s", "heartbeat_s", "brightness"},
    "masking": {"id_number_first", "id_number_last", "name_last"},
    "intake": {"batch_messages", "linger_ms", "inbox_messages"},
}
_REQUIRED = ("hall", "mqtt", "keys", "registry")


class _Section:
    """One table of the file; reads keys with the checks and words that all sections share."""

    def __init__(self, name: str, values: Mapping[str, object], folder: Path) -> None:
        self._name = name
        self._values = values
        self._folder = folder

    def _refuse(self, key: str, complaint: str) -> ConfigurationError:
        return ConfigurationError(f"[{self._name}] {key}: {complaint}")

    def _value(self, key: str, default: object) -> object:
        value = self._values.get(key, default)
        if value is None:
            raise self._refuse(key, "is missing; add it")
        return value

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        value = self._value(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self._refuse(key, "must be text in quotes, and not empty")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(key, f"must be a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._refuse(key, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._refuse(key, "must be true or false")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self._refuse(key, "must be one of " + ", ".join(choices))
        return value

    def path(self, key: str, default: str | None = None) -> Path:
        return self._folder / self.text(key, default)

    def file(self, key: str) -> Path:
        path = self.path(key)
        if not path.is_file():
            raise self._refuse(key, f"there is no file {path}; check the path, or make the hall again")
        return path

    def optional_file(self, key: str) -> Path | None:
        return self.file(key) if self.has(key) else None


def load(path: Path) -> GatewayConfiguration:
    """The checked configuration of the file `path`. Raises ConfigurationError."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); name the gateway.toml of the hall"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not valid TOML: {error}; correct that line") from None
    return parse(tables, path.resolve().parent)


def parse(tables: Mapping[str, object], folder: Path) -> GatewayConfiguration:
    """The configuration in parsed TOML; relative paths are meant from `folder`. Raises ConfigurationError."""
    sections = _sections(tables, folder)
    hall = sections["hall"].text("name")
    if not topic.is_name(hall):
        raise ConfigurationError("[hall] name: must be 1 to 32 of a-z, 0-9 and -; write the hall's short name")
    registry, store = sections["registry"], sections["store"]
    return GatewayConfiguration(
        hall=hall,
        mqtt=_mqtt(sections["mqtt"]),
        keys=_keys(sections["keys"]),
        registry=registry.file("path"),
        roster=registry.optional_file("roster"),
        store=StoreSettings(
            ledger=store.path("ledger", "ledger.db"),
            timeseries=store.path("timeseries", "timeseries.duckdb"),
            # 20 000 messages of at most 4 KiB: a day of one device gone mad, in 64 MiB.
            quarantine_messages_max=store.whole("quarantine_messages_max", 1, 10_000_000, 20_000),
            quarantine_bytes_max=store.whole("quarantine_bytes_max", 4096, 1 << 40, 64 << 20),
        ),
        central=_central(sections["central"]) if "central" in tables else None,
        page=_page(sections["page"]),
        business_token_file=sections["api"].optional_file("business_token_file"),
        audit_token_file=sections["api"].optional_file("audit_token_file"),
        clock=_clock(sections["clock"]),
        devices=_devices(sections["devices"]),
        masking=_masking(sections["masking"]),
        intake=_intake(sections["intake"]),
    )


def _sections(tables: Mapping[str, object], folder: Path) -> dict[str, _Section]:
    for name, values in tables.items():
        if name not in _KEYS:
            raise ConfigurationError(f"[{name}]: there is no such section; known are " + ", ".join(sorted(_KEYS)))
        if not isinstance(values, dict):
            raise ConfigurationError(f"{name}: must be a section, written as [{name}] on a line of its own")
        for key in values:
            if key not in _KEYS[name]:
                raise ConfigurationError(
                    f"[{name}] {key}: there is no such key; known are " + ", ".join(sorted(_KEYS[name]))
                )
    for name in _REQUIRED:
        if name not in tables:
            raise ConfigurationError(f"[{name}]: the section is missing; add it")
    return {name: _Section(name, _table(tables, name), folder) for name in _KEYS}


def _table(tables: Mapping[str, object], name: str) -> Mapping[str, object]:
    values = tables.get(name, {})
    return values if isinstance(values, dict) else {}


def _mqtt(section: _Section) -> MqttSettings:
    return MqttSettings(
        host=section.text("host"),
        port=section.whole("port", 1, 65535, 8883),
        server_name=section.text("server_name", "localhost"),
        ca=section.file("ca"),
        certificate=section.file("cert"),
        key=section.file("key"),
        client_id=section.text("client_id", "gateway"),
    )


def _keys(section: _Section) -> KeySettings:
    return KeySettings(section.file("agreement"), section.file("command"), section.file("central_public"))


def _central(section: _Section) -> CentralSettings:
    url = section.text("url").rstrip("/")
    if not url.startswith("https://"):
        raise ConfigurationError("[central] url: must begin with https://; records leave the hall encrypted only")
    return CentralSettings(url, section.optional_file("ca"), section.file("token_file"))


def _page(section: _Section) -> PageSettings:
    page = PageSettings(
        host=section.text("host", "127.0.0.1"),
        port=section.whole("port", 0, 65535, 8443),
        certificate=section.optional_file("cert"),
        key=section.optional_file("key"),
    )
    if (page.certificate is None) != (page.key is None):
        raise ConfigurationError("[page] cert and key: give both, or neither (plain HTTP on 127.0.0.1)")
    if page.certificate is None and page.host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError("[page] host: without cert and key only 127.0.0.1 is allowed; give a certificate")
    return page


def _clock(section: _Section) -> HallClock:
    speed = section.number("speed", 0.001, 10_000, 1.0)
    if speed == 1.0 and not section.has("origin_s"):
        return HallClock()
    for key in ("origin_s", "real0_s"):
        if not section.has(key):
            raise ConfigurationError(f"[clock] {key}: is missing; a simulated clock needs speed, origin_s and real0_s")
    latest_s = 0xFFFFFFFF
    return HallClock(speed, section.number("origin_s", 0, latest_s, 0), section.number("real0_s", 0, latest_s, 0))


def _devices(section: _Section) -> DeviceSettings:
    return DeviceSettings(
        language=section.choice("language", command.LANGUAGES, "zh"),
        rating_timeout_s=section.whole("rating_timeout_s", 5, 600, 60),  # domain reference V8
        heartbeat_s=section.whole("heartbeat_s", 10, 3600, 300),  # security reference, section 1
        brightness=section.whole("brightness", 0, 255, 160),
    )


def _masking(section: _Section) -> MaskingRule:
    return MaskingRule(
        id_number_first=section.whole("id_number_first", 0, 6, 3),
        id_number_last=section.whole("id_number_last", 0, 4, 4),
        name_last=section.flag("name_last", False),
    )


def _intake(section: _Section) -> IntakeSettings:
    return IntakeSettings(
        # 256 messages verify in about 10 ms on two threads: long enough to pay for one sync, short enough for a person.
        batch_messages=section.whole("batch_messages", 1, 4096, 256),
        linger_ms=section.whole("linger_ms", 0, 1000, 5),
        # 2048 messages of at most 4 KiB are 8 MiB; beyond that the broker holds them.
        inbox_messages=section.whole("inbox_messages", 1, 1_000_000, 2048),
    )
