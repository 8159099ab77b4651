"""gateway.toml and the gateway's keys: what is wrong is named, with what to do about it."""

import re

import pytest

from gateway import configuration, keys
from gateway.configuration import TAG_CODES, TAG_CODES_MAX
from gateway.hall_clock import HallClock
from gateway.masking import MaskingRule
from gateway.retention import RetentionRule
from gateway.rule_settings import RuleSettings
from gateway.section import ConfigurationError
from gateway.visit_settings import VisitSettings
from protocol.suite_host import HostSuite


@pytest.fixture
def toml(hall_dir):
    return hall_dir / "gateway" / "gateway.toml"


def test_the_file_that_provisioning_writes_is_accepted(toml):
    loaded = configuration.load(toml)
    assert loaded.hall == "yongxing"
    assert loaded.store.ledger == toml.parent / "ledger.db"
    assert loaded.central.url.startswith("https://")
    assert (loaded.devices.rating_timeout_s, loaded.masking.id_number_last) == (60, 4)
    assert loaded.clock.speed == 1.0


def test_a_hall_may_keep_less_and_show_less(toml):
    toml.write_text(
        toml.read_text()
        + "\n[masking]\nname_first = false\nphone_first = 0\ndocument_last = 2\n[retention]\nsealed_days = 60\n"
    )
    loaded = configuration.load(toml)
    assert loaded.masking == MaskingRule(name_first=False, phone_first=0, document_last=2)
    assert loaded.retention == RetentionRule(sealed=60)


def test_paths_are_meant_from_the_folder_of_the_file(toml, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert configuration.load(toml).mqtt.ca == toml.parent / "root.pem"


# (what is replaced, by what, what the message must say)
MISTAKES = [
    (r'name = "yongxing"', 'name = "Yong Xing"', r"\[hall\] name: .*a-z"),
    (r'name = "yongxing"', "name = 5", r"\[hall\] name: must be text"),
    (r"port = 8883", 'port = "8883"', r"\[mqtt\] port: must be a whole number from 1 to 65535"),
    (r"port = 8883", "port = 88830", r"\[mqtt\] port"),
    (r"port = 8883", "port = true", r"\[mqtt\] port"),
    (r'ca = "root.pem"\ncert', 'ca = "rot.pem"\ncert', r"\[mqtt\] ca: there is no file .*rot.pem; check the path"),
    (r'host = "127.0.0.1"\nport = 8883', "port = 8883", r"\[mqtt\] host: is missing; add it"),
    (r"\[keys\]", "[keyz]", r"\[keyz\]: there is no such section; known are .*keys"),
    (r"client_id", "clientid", r"\[mqtt\] clientid: there is no such key; known are .*client_id"),
    (r"\[registry\]\n[^\[]*", "", r"\[registry\]: the section is missing"),
    (r'url = "https://', 'url = "http://', r"\[central\] url: must begin with https://"),
    (r'cert = "https.pem"\n', "", r"\[page\] cert and key: give both, or neither"),
    (r'host = "127.0.0.1"\nport = 8443\ncert.*\nkey.*\n', 'host = "0.0.0.0"\n', r"\[page\] host: .*only 127.0.0.1"),
    (r'keys = "release.pub"', 'keys = "rel.pub"', r"\[releases\] keys: there is no file .*rel.pub; check the path"),
    (r'keys = "release.pub"\n', "", r"\[releases\] keys: is missing; add it"),
    (r'folder = "releases"', "folder = 1", r"\[releases\] folder: must be text"),
    (r"\Z", "\n[clock]\nspeed = 60\n", r"\[clock\] origin_s: is missing; a simulated clock needs"),
    (r"\Z", "\n[clock]\nspeed = -1\n", r"\[clock\] speed: must be a number from"),
    (r"\Z", '\n[devices]\nlanguage = "fr"\n', r"\[devices\] language: must be one of zh, en"),
    (r"\Z", '\n[devices]\nlanguage = "en+zh"\n', r"\[devices\] language: must be one of zh, en, zh\+en"),
    (r"\Z", "\n[devices]\nrate_staff = 1\n", r"\[devices\] rate_staff: must be true or false"),
    (r"\Z", '\n[devices]\nask_phone = "yes"\n', r"\[devices\] ask_phone: must be true or false"),
    (r"\Z", "\n[devices]\nerase_on_tamper = 0\n", r"\[devices\] erase_on_tamper: must be true or false"),
    (r"\Z", "\n[devices]\ntag_codes = 207\n", r"\[devices\] tag_codes: must be a list of at most 40 .*100 to 599"),
    (r"\Z", "\n[devices]\ntag_codes = [99]\n", r"\[devices\] tag_codes: .*100 to 599"),
    (r"\Z", "\n[devices]\ntag_codes = [600]\n", r"\[devices\] tag_codes: .*100 to 599"),
    (r"\Z", "\n[devices]\ntag_codes = [true]\n", r"\[devices\] tag_codes: .*whole numbers"),
    (r"\Z", "\n[devices]\ntag_codes = [207, 207]\n", r"\[devices\] tag_codes: .*different"),
    (r"\Z", f"\n[devices]\ntag_codes = {list(range(100, 141))}\n", r"\[devices\] tag_codes: .*at most 40"),
    (r"\Z", '\n[devices]\nopens_at = "8:30"\n', r'\[devices\] opens_at: must be a time of day.*like "08:30"'),
    (r"\Z", '\n[devices]\nopens_at = "24:00"\n', r"\[devices\] opens_at: must be a time of day"),
    (r"\Z", '\n[devices]\nopens_at = "08:60"\n', r"\[devices\] opens_at: must be a time of day"),
    (r"\Z", "\n[devices]\nopens_at = 08:30:00\n", r"\[devices\] opens_at: must be a time of day in quotes"),
    (r"\Z", '\n[devices]\nquiet_from = "18:00"\n', r"\[devices\] quiet_from and quiet_until: give both, or neither"),
    (r"\Z", '\n[devices]\nquiet_until = "08:00"\n', r"\[devices\] quiet_from and quiet_until: give both"),
    (r"\Z", "\n[devices]\nutc_offset_min = 841\n", r"\[devices\] utc_offset_min: must be .* from -720 to 840"),
    (r"\Z", '\n[devices]\nsensor_password_file = "none"\n', r"\[devices\] sensor_password_file: there is no file"),
    (r"\Z", "\n[masking]\nid_number_first = 18\n", r"\[masking\] id_number_first: .*from 0 to 6"),
    (r"\Z", "\n[masking]\nphone_first = 4\n", r"\[masking\] phone_first: .*from 0 to 3"),
    (r"\Z", "\n[retention]\nratings_days = 30\n", r"\[retention\] ratings_days: .*from 31 to 36500"),
    (r"\Z", "\n[retention]\nsealed_days = 0\n", r"\[retention\] sealed_days: .*from 1 to 36500"),
    (r"\Z", "\n[retention]\nnames_days = 9\n", r"\[retention\] names_days: there is no such key"),
    (r"\Z", "\n[masking]\nname_last = 1\n", r"\[masking\] name_last: must be true or false"),
    (r"\Z", "\n[rules]\nlevel_run = 1\n", r"\[rules\] level_run: must be a whole number from 2 to 1000"),
    (r"\Z", '\n[rules]\nearliest_day = "2026-01-01"\n', r"\[rules\] earliest_day: must be a day without quotes"),
    (r"\Z", "\n[rules]\nearliest_day = 2026-01-01T08:00:00Z\n", r"\[rules\] earliest_day: must be a day"),
    (r"\Z", "\n[rules]\ndrop = true\n", r"\[rules\] drop: there is no such key"),
    (r'items = "items.csv"', "items = 1", r"\[visits\] items: must be text"),
    (r'items = "items.csv"', 'rate_parts_of = "theme"', r"\[visits\] rate_parts_of: must be a list of some of batch"),
    (r'items = "items.csv"', 'rate_parts_of = ["single"]', r"\[visits\] rate_parts_of: must be a list of some of"),
    (r'items = "items.csv"', 'rate_parts_of = [["theme"]]', r"\[visits\] rate_parts_of: must be a list of some of"),
    (r"\Z", "\n[webhook]\n", r"\[webhook\] url: is missing; add it"),
    (r"\Z", '\n[webhook]\nurl = "http://a/b"\n', r"\[webhook\] url: must begin with https://; outcomes leave"),
    (r"\Z", '\n[webhook]\nurl = "https://a/b"\n', r"\[webhook\] secret_file: is missing; add it"),
    (r"\Z", "\nhall = [\n", r"is not valid TOML: .*correct that line"),
    (r"\A", "speed = 1\n", r"\[speed\]: there is no such section"),
    (r"\A", "page = 1\n", r"is not valid TOML|must be a section"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_key_and_what_to_do(toml, old, new, message):
    changed, count = re.subn(old, new, toml.read_text(), count=1)
    assert count == 1, "the mistake must be made"
    toml.write_text(changed)
    with pytest.raises(ConfigurationError, match=message):
        configuration.load(toml)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.toml: cannot be read"):
        configuration.load(tmp_path / "nothing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="save it as UTF-8"):
        configuration.load(tmp_path / "bytes.toml")


def test_plain_http_is_allowed_on_loopback_only(toml):
    text = re.sub(r'cert = "https.pem"\nkey = "https.key"\n', "", toml.read_text())
    toml.write_text(text)
    assert configuration.load(toml).page.certificate is None


def test_a_hall_without_central_system_forwards_nothing(toml):
    toml.write_text(re.sub(r"\[central\]\n[^\[]*", "", toml.read_text()))
    assert configuration.load(toml).central is None


def test_a_hall_says_which_visits_are_rated_part_by_part_and_where_outcomes_are_told(toml):
    (toml.parent / "webhook.secret").write_text("whsec_")
    settings = 'rate_parts_of = ["theme", "joint"]\n[webhook]\nurl = "https://a/b"\nsecret_file = "webhook.secret"\n'
    toml.write_text(toml.read_text().replace('items = "items.csv"', 'items = "items.csv"\n' + settings))
    visits = configuration.load(toml).visits
    assert (visits.items, visits.rate_parts_of) == (toml.parent / "items.csv", ("theme", "joint"))
    assert (visits.webhook.url, visits.webhook.ca) == ("https://a/b", None)
    toml.write_text(toml.read_text().partition("[visits]")[0])
    assert configuration.load(toml).visits == VisitSettings()


def test_a_hall_without_releases_leaves_its_devices_as_they_are(toml):
    toml.write_text(re.sub(r"\[releases\]\n[^\[]*", "", toml.read_text()))
    assert configuration.load(toml).releases is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "must hold 3 different keys; copy the hall's release"),
        (lambda path: path.write_bytes(path.read_bytes()[:65] * 3), "must hold 3 different keys"),
        (lambda path: path.write_bytes(bytes(195)), "must hold 3 different keys"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "is damaged; copy the hall's release.pub"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_bad_release_keys_are_named(toml, spoil, message):
    path = configuration.load(toml).releases.keys
    assert len(keys.release_keys(path, HostSuite())) == 3
    spoil(path)
    with pytest.raises(ConfigurationError, match=rf"\[releases\] keys: .*{message}"):
        keys.release_keys(path, HostSuite())


def test_a_simulated_clock_goes_on_after_a_restart():
    real = [1000.0]
    first = HallClock(60, 1_790_000_000, 1000.0, lambda: real[0])
    real[0] += 2
    assert first.now_s() == 1_790_000_120
    assert HallClock(60, 1_790_000_000, 1000.0, lambda: real[0]).now_ms() == 1_790_000_120_000


def test_the_clock_section_makes_that_clock(toml):
    toml.write_text(toml.read_text() + "\n[clock]\nspeed = 60\norigin_s = 1790000000\nreal0_s = 1000.5\n")
    clock = configuration.load(toml).clock
    assert (clock.speed, clock.origin_s, clock.real0_s) == (60, 1_790_000_000, 1000.5)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("agreement.key", lambda path: path.write_bytes(bytes(31)), r"\[keys\] agreement: .* must hold 32 raw bytes"),
        ("agreement.key", lambda path: path.write_bytes(bytes(32)), "not of the curve P-256"),
        ("command.key", lambda path: path.chmod(0o640), r"\[keys\] command: .*chmod 600"),
        ("central.pub", lambda path: path.write_bytes(b"\x04" + bytes(64)), "not of the curve P-256"),
        ("central.pub", lambda path: path.unlink(), r"\[keys\] central_public: .*cannot be read"),
    ],
)
def test_a_bad_key_is_named_and_never_shown(toml, name, spoil, message):
    settings = configuration.load(toml).keys
    secret = (toml.parent / "agreement.key").read_bytes().hex()
    spoil(toml.parent / name)
    with pytest.raises(ConfigurationError, match=message) as refused:
        keys.load(settings, HostSuite())
    assert secret[:8] not in str(refused.value)


def test_keys_are_not_shown_when_they_are_printed(toml):
    loaded = keys.load(configuration.load(toml).keys, HostSuite())
    assert repr(loaded) == "GatewayKeys()"


def test_devices_are_set_sensibly_where_the_file_says_nothing(toml):
    devices = configuration.load(toml).devices
    assert devices.tag_codes == TAG_CODES == (*range(207, 215), *range(108, 116))
    assert (devices.rate_staff, devices.ask_phone, devices.erase_on_tamper) == (False, False, False)
    assert (devices.opening_min, devices.quiet_from_min, devices.quiet_until_min) == (None, None, None)
    assert (devices.utc_offset_min, devices.sensor_password_file) == (480, None)


def test_devices_are_set_as_the_file_says(toml):
    toml.write_text(
        toml.read_text()
        + """
[devices]
language = "zh+en"
rate_staff = true
tag_codes = [115, 207]
ask_phone = true
opens_at = "08:30"
quiet_from = "17:59"
quiet_until = "00:00"
utc_offset_min = -720
erase_on_tamper = true
sensor_password_file = "sensor.password"
"""
    )
    (toml.parent / "sensor.password").write_text("1\n")
    devices = configuration.load(toml).devices
    assert (devices.language, devices.tag_codes) == ("zh+en", (115, 207))
    assert (devices.rate_staff, devices.ask_phone, devices.erase_on_tamper) == (True, True, True)
    assert (devices.opening_min, devices.quiet_from_min, devices.quiet_until_min) == (510, 1079, 0)
    assert devices.utc_offset_min == -720
    assert devices.sensor_password_file == toml.parent / "sensor.password"


def test_rules_have_the_limits_that_the_file_gives_and_the_usual_ones(toml):
    assert configuration.load(toml).rules == RuleSettings()
    toml.write_text(toml.read_text() + "\n[rules]\nearliest_day = 2027-03-01\nburst_minute = 9\ntwo_doors_s = 20\n")
    assert configuration.load(toml).rules == RuleSettings(earliest_s=1_803_859_200, burst_minute=9, two_doors_s=20)


def test_a_hall_may_ask_for_no_reason_and_for_as_many_as_the_wire_takes(toml):
    text = toml.read_text()
    for codes in ((), tuple(range(100, 100 + TAG_CODES_MAX))):
        toml.write_text(f"{text}\n[devices]\ntag_codes = {list(codes)}\n")
        assert configuration.load(toml).devices.tag_codes == codes


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("1234\n", 1234), (" 0x4d2\n", 1234), ("0XFFFFFFFF", 0xFFFFFFFF)]
)
def test_a_sensor_password_is_one_number_decimal_or_hexadecimal(tmp_path, text, number):
    path = tmp_path / "sensor.password"
    path.write_text(text)
    path.chmod(0o600)
    assert keys.sensor_password(path) == number
    assert keys.sensor_password(None) is None


@pytest.mark.parametrize("text", ["", "-777", "0x", "0x777777777", "4294967296", "777 777", "777_7", "077x", "\u0667"])
def test_a_bad_sensor_password_is_named_and_never_shown(tmp_path, text):
    path = tmp_path / "sensor.password"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(
        ConfigurationError, match=r"\[devices\] sensor_password_file: .* one number of 32 bits"
    ) as refused:
        keys.sensor_password(path)
    assert "777" not in str(refused.value)


def test_a_sensor_password_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "sensor.password"
    path.write_text("1234")
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"\[devices\] sensor_password_file: .*chmod 600"):
        keys.sensor_password(path)
    with pytest.raises(ConfigurationError, match=r"\[devices\] sensor_password_file: .*cannot be read"):
        keys.sensor_password(tmp_path / "none")
