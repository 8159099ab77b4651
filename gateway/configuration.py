"""gateway.toml: everything that differs from hall to hall, read once at start and checked as a whole.

Every message of ConfigurationError names the key and says what to do, for a technician in the server room.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import rule_settings, visit_settings
from gateway.hall_clock import HallClock
from gateway.masking import MaskingRule
from gateway.retention import DAYS_MAX, EVIDENCE_DAYS_MIN, KINDS, PERSONAL_KINDS, RetentionRule
from gateway.rule_settings import RuleSettings
from gateway.section import ConfigurationError, Section
from gateway.sign_in import DayRule
from gateway.visit_settings import VisitSettings
from protocol import command, field, topic

# The reasons in force for 不满意 (207 to 214) and 非常不满意 (108 to 115) in the platform's list of 2020 (domain
# reference 3.6).
TAG_CODES = (*range(207, 215), *range(108, 116))
TAG_CODES_MAX = next(high for key, _, _, _, high, _ in field.rows(command.CONFIG_ROWS) if key == command.TAG_CODES)


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
class EvidenceSettings:
    """What signs manifests. key: 32 raw bytes. certificates: PEM, the gateway's and the authority's of the devices."""

    key: Path
    certificates: Path
    revocations: Path  # PEM; looked at again while the gateway runs


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
    """What every device of the hall is told by CONFIG. Minutes are those of the hall's day; None: never."""

    language: str
    rating_timeout_s: int
    heartbeat_s: int
    brightness: int
    rate_staff: bool = False  # this and the next two: evaluators only
    tag_codes: tuple[int, ...] = TAG_CODES
    ask_phone: bool = False
    opening_min: int | None = None
    quiet_from_min: int | None = None  # both or none
    quiet_until_min: int | None = None
    utc_offset_min: int = DayRule.utc_offset_s // 60
    erase_on_tamper: bool = False
    sensor_password_file: Path | None = None  # for clocks only; None: it is not sent


@dataclass(frozen=True)
class ReleaseSettings:
    """Where releases lie, and the hall's release keys (3 x 65 raw bytes) that they must be signed with."""

    folder: Path  # may appear later
    keys: Path


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
    evidence: EvidenceSettings | None  # None: no manifests are made, and nothing can be exported
    registry: Path
    roster: Path | None
    store: StoreSettings
    central: CentralSettings | None  # None: the hall forwards nothing (yet)
    page: PageSettings
    business_token_file: Path | None  # None: the visits API is closed
    audit_token_file: Path | None  # None: counts of the stores and operator log are not shown
    technician_token_file: Path | None  # None: no device takes orders, nothing leaves quarantine
    supervisor_token_file: Path | None  # None: no rating is marked
    releases: ReleaseSettings | None  # None: devices keep the program that they have
    clock: HallClock
    devices: DeviceSettings
    masking: MaskingRule
    retention: RetentionRule
    intake: IntakeSettings
    rules: RuleSettings
    visits: VisitSettings


# Sections and their keys; anything else is a typing error, which must not pass for a setting that works.
_KEYS = {
    "hall": {"name"},
    "mqtt": {"host", "port", "server_name", "ca", "cert", "key", "client_id"},
    "keys": {"agreement", "command", "central_public"},
    "evidence": {"key", "certificates", "revocations"},
    "registry": {"path", "roster"},
    "store": {"ledger", "timeseries", "quarantine_messages_max", "quarantine_bytes_max"},
    "central": {"url", "ca", "token_file"},
    "page": {"host", "port", "cert", "key"},
    "api": {"business_token_file", "audit_token_file", "technician_token_file", "supervisor_token_file"},
    "releases": {"folder", "keys"},
    "clock": {"speed", "origin_s", "real0_s"},
    "devices": {
        *("language", "rating_timeout_s", "heartbeat_s", "brightness", "rate_staff", "tag_codes", "ask_phone"),
        *("opens_at", "quiet_from", "quiet_until", "utc_offset_min", "erase_on_tamper", "sensor_password_file"),
    },
    "masking": {
        *("name_first", "name_last", "phone_first", "phone_last"),
        *("id_number_first", "id_number_last", "document_last"),
    },
    "retention": {kind + "_days" for kind in KINDS},
    "intake": {"batch_messages", "linger_ms", "inbox_messages"},
    "rules": rule_settings.KEYS,
    **visit_settings.KEYS,
}
_REQUIRED = ("hall", "mqtt", "keys", "registry")


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
        evidence=_evidence(sections["evidence"]) if "evidence" in tables else None,
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
        technician_token_file=sections["api"].optional_file("technician_token_file"),
        supervisor_token_file=sections["api"].optional_file("supervisor_token_file"),
        releases=_releases(sections["releases"]) if "releases" in tables else None,
        clock=_clock(sections["clock"]),
        devices=_devices(sections["devices"]),
        masking=_masking(sections["masking"]),
        retention=_retention(sections["retention"]),
        intake=_intake(sections["intake"]),
        rules=rule_settings.of(sections["rules"]),
        visits=visit_settings.read(sections["visits"], sections["webhook"], "webhook" in tables),
    )


def _sections(tables: Mapping[str, object], folder: Path) -> dict[str, Section]:
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
    return {name: Section(name, _table(tables, name), folder) for name in _KEYS}


def _table(tables: Mapping[str, object], name: str) -> Mapping[str, object]:
    values = tables.get(name, {})
    return values if isinstance(values, dict) else {}


def _mqtt(section: Section) -> MqttSettings:
    return MqttSettings(
        host=section.text("host"),
        port=section.whole("port", 1, 65535, 8883),
        server_name=section.text("server_name", "localhost"),
        ca=section.file("ca"),
        certificate=section.file("cert"),
        key=section.file("key"),
        client_id=section.text("client_id", "gateway"),
    )


def _keys(section: Section) -> KeySettings:
    return KeySettings(section.file("agreement"), section.file("command"), section.file("central_public"))


def _evidence(section: Section) -> EvidenceSettings:
    return EvidenceSettings(section.file("key"), section.file("certificates"), section.file("revocations"))


def _central(section: Section) -> CentralSettings:
    url = section.text("url").rstrip("/")
    if not url.startswith("https://"):
        raise ConfigurationError("[central] url: must begin with https://; records leave the hall encrypted only")
    return CentralSettings(url, section.optional_file("ca"), section.file("token_file"))


def _page(section: Section) -> PageSettings:
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


def _releases(section: Section) -> ReleaseSettings:
    return ReleaseSettings(section.path("folder", "releases"), section.file("keys"))


def _clock(section: Section) -> HallClock:
    speed = section.number("speed", 0.001, 10_000, 1.0)
    if speed == 1.0 and not section.has("origin_s"):
        return HallClock()
    for key in ("origin_s", "real0_s"):
        if not section.has(key):
            raise ConfigurationError(f"[clock] {key}: is missing; a simulated clock needs speed, origin_s and real0_s")
    latest_s = 0xFFFFFFFF
    return HallClock(speed, section.number("origin_s", 0, latest_s, 0), section.number("real0_s", 0, latest_s, 0))


def _devices(section: Section) -> DeviceSettings:
    quiet_from_min, quiet_until_min = section.minute("quiet_from"), section.minute("quiet_until")
    if (quiet_from_min is None) != (quiet_until_min is None):
        raise ConfigurationError("[devices] quiet_from and quiet_until: give both, or neither (never quiet)")
    return DeviceSettings(
        language=section.choice("language", command.LANGUAGES, "zh"),
        rating_timeout_s=section.whole("rating_timeout_s", 5, 600, 60),  # domain reference V8
        heartbeat_s=section.whole("heartbeat_s", 10, 3600, 300),  # security reference, section 1
        brightness=section.whole("brightness", 0, 255, 160),
        rate_staff=section.flag("rate_staff", DeviceSettings.rate_staff),
        tag_codes=section.numbers(
            "tag_codes", command.TAG_CODE_MIN, command.TAG_CODE_MAX, TAG_CODES_MAX, DeviceSettings.tag_codes
        ),
        ask_phone=section.flag("ask_phone", DeviceSettings.ask_phone),
        opening_min=section.minute("opens_at"),
        quiet_from_min=quiet_from_min,
        quiet_until_min=quiet_until_min,
        utc_offset_min=section.whole("utc_offset_min", -720, 840, DeviceSettings.utc_offset_min),
        erase_on_tamper=section.flag("erase_on_tamper", DeviceSettings.erase_on_tamper),
        sensor_password_file=section.optional_file("sensor_password_file"),
    )


def _masking(section: Section) -> MaskingRule:
    return MaskingRule(
        id_number_first=section.whole("id_number_first", 0, 6, MaskingRule.id_number_first),
        id_number_last=section.whole("id_number_last", 0, 4, MaskingRule.id_number_last),
        name_last=section.flag("name_last", MaskingRule.name_last),
        name_first=section.flag("name_first", MaskingRule.name_first),
        phone_first=section.whole("phone_first", 0, 3, MaskingRule.phone_first),
        phone_last=section.whole("phone_last", 0, 4, MaskingRule.phone_last),
        document_last=section.whole("document_last", 0, 4, MaskingRule.document_last),
    )


def _retention(section: Section) -> RetentionRule:
    days = {
        kind: section.whole(
            kind + "_days",
            1 if kind in PERSONAL_KINDS else EVIDENCE_DAYS_MIN,
            DAYS_MAX,
            getattr(RetentionRule, kind),
        )
        for kind in KINDS
    }
    return RetentionRule(**days)


def _intake(section: Section) -> IntakeSettings:
    return IntakeSettings(
        # 256 messages verify in about 10 ms on two threads: long enough to pay for one sync, short enough for a person.
        batch_messages=section.whole("batch_messages", 1, 4096, 256),
        linger_ms=section.whole("linger_ms", 0, 1000, 5),
        # 2048 messages of at most 4 KiB are 8 MiB; beyond that the broker holds them.
        inbox_messages=section.whole("inbox_messages", 1, 1_000_000, 2048),
    )
