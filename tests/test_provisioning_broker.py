"""A hall's folder beside mosquitto, the broker of real halls: the certificates let in whom they should."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from hall_broker import free_port
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.broker

START_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 10

SETTINGS = """
listener {port} 127.0.0.1
certfile {hall}/broker/server.pem
keyfile {hall}/broker/server.key
cafile {hall}/broker/clients.pem
require_certificate true
use_identity_as_username true
allow_anonymous false
user root
"""


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "mosquitto ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("mosquitto does not listen")


@pytest.fixture
def broker_port(hall_dir: Path, tmp_path: Path, mosquitto: str) -> Iterator[int]:
    """Port of a mosquitto with the hall's certificates."""
    port = free_port()
    (tmp_path / "settings").write_text(SETTINGS.format(port=port, hall=hall_dir))
    process = subprocess.Popen([mosquitto, "-c", tmp_path / "settings"], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def _connect(port: int, hall: Path, certificate: Path | None, key: Path | None) -> str:
    """What the broker says to a client with this certificate: "Success", or why not."""
    context = ssl.create_default_context(cafile=str(hall / "gateway/root.pem"))
    if certificate:
        context.load_cert_chain(certificate, key)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
    client.tls_set_context(context)
    answers: list[str] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(str(reason))
    try:
        client.connect("127.0.0.1", port)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not answers and time.monotonic() < deadline:
            if client.loop(timeout=0.2) != mqtt.MQTT_ERR_SUCCESS:
                break
    except OSError as error:
        return type(error).__name__
    finally:
        client.disconnect()
    return answers[0] if answers else "closed"


def test_mosquitto_takes_the_gateway(hall_dir: Path, broker_port: int) -> None:
    assert _connect(broker_port, hall_dir, hall_dir / "gateway/tls.pem", hall_dir / "gateway/tls.key") == "Success"


def test_mosquitto_takes_no_client_without_certificate(hall_dir: Path, broker_port: int) -> None:
    assert _connect(broker_port, hall_dir, None, None) != "Success"


def test_mosquitto_takes_no_server_certificate_as_a_login(hall_dir: Path, broker_port: int) -> None:
    server = hall_dir / "gateway/https.pem", hall_dir / "gateway/https.key"
    assert _connect(broker_port, hall_dir, *server) != "Success"
