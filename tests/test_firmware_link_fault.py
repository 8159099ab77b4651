"""Why a link does not stand: what the VM raises at real brokers, and the one word that a technician reads for it."""

import json

import pytest
from fault_servers import FaultyMosquitto, StrangeServers

from firmware.link_fault import word
from firmware.mqtt import MqttError
from firmware.texts import lines
from simulator.eyes import MARKS

pytestmark = pytest.mark.xdist_group("vm")

# Runs the board's own connection and the MQTT client; only pins and radio are not there.
SCRIPT = """
import asyncio, json, sys

class Absent:
    def __init__(self, *_, **__): pass

Absent.WDT = Absent.WLAN = Absent
Absent.STA_IF = 0
sys.modules["machine"] = sys.modules["network"] = Absent

from firmware import mqtt
from firmware.board_esp32 import Esp32Board
from firmware.link_fault import word

mqtt.PACKET_TIMEOUT_S = 2
folder = sys.argv[1]

def read(name):
    with open(folder + "/" + name, "rb") as file:
        return file.read()

async def attempt(host, port, name, device, root):
    certificate, key = device.split("/")
    board = Esp32Board("")
    board.trust((read("device-%s.crt" % certificate), read("device-%s.key" % key), read(root + ".crt")))
    try:
        reader, writer = await board.open_stream(host, port, name)
        client = mqtt.Mqtt(reader, writer, None)
        try:
            await client.connect("e-001", 60)
        finally:
            await client.close()
        return "", "", board.met_server
    except Exception as error:
        return word(error, False, board.met_server), repr(error), board.met_server

for line in sys.argv[2:]:
    print(json.dumps(asyncio.run(attempt(*json.loads(line)))))
"""

# (name of the case, server, server name that the device wants, certificate/key of the device, root), the word.
CASES = {
    "all is well": ("good", "127.0.0.1", "good/good", "root", ""),
    "all is well, by name": ("good", "broker", "good/good", "root", ""),
    "another name": ("good", "other.name", "good/good", "root", "name"),
    "another address": ("good", "192.168.1.1", "good/good", "root", "name"),
    "a certificate of a device": ("device", "127.0.0.1", "good/good", "root", "untrusted"),
    "expired server": ("expired", "127.0.0.1", "good/good", "root", "expired"),
    "server not yet valid": ("early", "127.0.0.1", "good/good", "root", "early"),
    "root and server not yet valid": ("all_early", "127.0.0.1", "good/good", "young", "early"),
    "foreign authority": ("foreign", "127.0.0.1", "good/good", "root", "untrusted"),
    "foreign authority and name": ("foreign", "other.name", "good/good", "root", "untrusted"),
    "expired and another name": ("expired", "other.name", "good/good", "root", "name"),
    "server of the enrolment authority": ("of_enrolment", "127.0.0.1", "good/good", "root", "untrusted"),
    "own certificate of a foreign authority": ("good", "127.0.0.1", "foreign/foreign", "root", "own"),
    "own certificate expired": ("good", "127.0.0.1", "expired/expired", "root", "own"),
    "own certificate not yet valid": ("good", "127.0.0.1", "early/early", "root", "own"),
    "own certificate revoked": ("revoking", "127.0.0.1", "revoked/revoked", "root", "own"),
    "own certificate and key no pair": ("good", "127.0.0.1", "good/foreign", "root", "own"),
    "good certificate where others are revoked": ("revoking", "127.0.0.1", "good/good", "root", ""),
    "TLS 1.3 only": ("tls13", "127.0.0.1", "good/good", "root", "tls"),
    "MQTT without TLS": ("plain", "127.0.0.1", "good/good", "root", "tls"),
    "a web server": ("web", "127.0.0.1", "good/good", "root", "tls"),
    "closed at once": ("closing", "127.0.0.1", "good/good", "root", "tls"),
    "reset at once": ("resetting", "127.0.0.1", "good/good", "root", "tls"),
    "says nothing": ("silent", "127.0.0.1", "good/good", "root", "silent"),
    "nobody listens": ("nobody", "127.0.0.1", "good/good", "root", "server"),
    "no such host": ("", "broker", "good/good", "root", "host"),
    "login refused": ("passwords", "127.0.0.1", "good/good", "root", "login"),
}


@pytest.fixture(scope="module")
def servers(mosquitto, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "broker"
    broker, strange = FaultyMosquitto(mosquitto, folder), StrangeServers()
    yield folder, broker.ports | strange.ports
    broker.kill()
    strange.close()


@pytest.mark.micropython
@pytest.mark.broker
@pytest.mark.parametrize("case", CASES)
def test_a_technician_reads_what_is_wrong(servers, run_micropython, case):
    folder, ports = servers
    server, name, device, root, wanted = CASES[case]
    host = "127.0.0.1" if server else "no-such-host.invalid"
    line = json.dumps([host, ports.get(server, 8883), name, device, root])
    done = run_micropython(SCRIPT, str(folder), line, heap_kib=128)
    assert done.returncode == 0, done.stderr
    found, raised, met = json.loads(done.stdout)
    print(f"{case}: {raised or 'no error'} -> {found or '-'}")
    assert found == wanted, raised
    assert met or wanted in ("tls", "silent", "server", "host") or "X509" in raised  # a certificate that cannot be read
    assert not met or wanted not in ("tls", "silent", "server", "host")


def test_every_word_has_a_text_in_both_languages_and_every_case_its_word():
    words = {wanted for *_, wanted in CASES.values()} - {""}
    assert words | {"offline", "wifi", "hung_up", "other"} == set(MARKS)
    for mark in MARKS:
        assert len({lines(mark, language)[0] for language in ("zh", "en")}) == 2


@pytest.mark.parametrize(
    ("error", "online", "met", "wanted"),
    [
        (OSError("no wifi"), False, False, "wifi"),
        (OSError(-202), False, False, "host"),  # EAI_FAIL of lwIP
        (OSError(-2), False, False, "host"),
        (OSError(113), False, False, "server"),  # EHOSTUNREACH of Linux, ECONNABORTED of an ESP32
        (OSError(118), False, False, "server"),  # EHOSTUNREACH of an ESP32
        (OSError(116), False, False, "server"),  # ETIMEDOUT of an ESP32
        (OSError(104), False, True, "own"),
        (OSError(104), False, False, "tls"),
        (OSError(104), True, True, "hung_up"),
        (OSError(-30592, "alert"), True, True, "hung_up"),
        (EOFError(), False, True, "hung_up"),
        (EOFError(), True, True, "hung_up"),
        (TimeoutError(), False, False, "silent"),
        (TimeoutError(), True, True, "silent"),
        (MqttError("silent"), True, True, "silent"),
        (MqttError("closed"), True, True, "hung_up"),
        (MqttError("not authorised"), False, True, "login"),
        (MqttError("server unavailable"), False, True, "login"),
        (MqttError("subscribe"), False, True, "login"),
        (ValueError("The certificate is signed with an unacceptable hash."), False, True, "untrusted"),
        (ValueError("words of a version that nobody has seen yet"), False, True, "untrusted"),
        (OSError(-0x2700, "verify"), False, True, "untrusted"),
    ],
)
def test_what_no_listener_here_can_cause_has_its_word_too(error, online, met, wanted):
    assert word(error, online, met) == wanted


@pytest.mark.parametrize("error", [OSError(12), OSError(5), OSError(-0x1080), OSError(-99999)])
def test_an_unknown_error_shows_its_number(error):
    assert word(error, False, False) == f"other {error.args[0]}"


@pytest.mark.parametrize("error", [OSError(), OSError(""), OSError("words"), OSError(None)])
def test_an_error_without_a_number_is_no_crash(error):
    assert word(error, False, False).split()[0] in ("other", "host")
