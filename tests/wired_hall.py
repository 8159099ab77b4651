"""A hall whose gateway runs as a process, and devices with their own TLS connection to its broker."""

import json
import re
import signal
import ssl
import subprocess
import sys
import threading
import time

import httpx
import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hall_broker import REPOSITORY, free_port
from paho.mqtt.enums import CallbackAPIVersion
from sealing_device import SUITE, SealingDevice

from gateway import ledger_file, schema
from protocol import topic
from protocol.refusal import Refused

# Of firmware.uplink: when a device sends again what has no receipt.
RESEND_S = 5


class GatewayProcess:
    """`hallseal-gateway run` in a hall's folder; its log goes to a file."""

    def __init__(self, hall, broker, program=("-m", "gateway.cli"), options=(), **popen):
        """program: arguments of the interpreter; options: of the command `run`; popen: of the process."""
        self._command, self._popen = [sys.executable, *program, "run", *options], popen
        self.folder = hall / "gateway"
        self.toml = self.folder / "gateway.toml"
        self.page_port = free_port()
        text = re.sub(r"port = 8883", f"port = {broker.port}", self.toml.read_text())
        self.toml.write_text(re.sub(r"port = 8443", f"port = {self.page_port}", text))
        self.log = self.folder / "log.jsonl"
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, "--config", str(self.toml)],
                **{"stdout": log, "stderr": log, "cwd": REPOSITORY, **self._popen},
            )
        self.wait(lambda: self.health()["outside"]["broker"], 30)
        return self

    def wait(self, condition, timeout_s):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError("not in time; the log ends: " + self.log.read_text()[-1500:])

    def get(self, path, **more):
        return httpx.get(f"https://127.0.0.1:{self.page_port}{path}", verify=self.trust(), timeout=5, **more)

    def counts(self):
        """What the stores hold, by device, and how much is in quarantine."""
        token = (self.folder / "audit.token").read_text().strip()
        return self.get("/api/v1/reconciliation", headers={"Authorization": "Bearer " + token}).json()

    def post(self, path, content, granted="business.token"):
        token = (self.folder / granted).read_text().strip()
        url = f"https://127.0.0.1:{self.page_port}{path}"
        headers = {"Authorization": "Bearer " + token}
        return httpx.post(url, json=content, headers=headers, verify=self.trust(), timeout=5)

    def trust(self):
        return ssl.create_default_context(cafile=str(self.folder / "root.pem"))

    def health(self):
        return self.get("/healthz").json()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """SIGTERM; (seconds it took, exit status)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(15)
        return time.monotonic() - began, status

    def look(self, query):
        return ledger_file.look(self.folder / "ledger.db", query)

    def stored(self, device):
        """{(stream, seq): digest} in the ledger file."""
        table = schema.record
        query = table.select().where(table.c.device == device)
        return self.look(lambda c: {(row.stream, row.seq): row.digest for row in c.execute(query)})


class WiredDevice(SealingDevice):
    """A provisioned device with its own MQTT connection; keeps what comes down."""

    def __init__(self, hall, name, broker, gateway_public, command_public, kind="evaluator", place="01"):
        super().__init__(name, gateway_public, kind, place, command_public=command_public)
        flash = hall / "devices" / name / "flash"
        self.take_keys((flash / "signing.key").read_bytes(), (flash / "agreement.key").read_bytes(), gateway_public)
        self.through, self.receipts, self.commands = 0, 0, []
        self.changed = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
        self.client.tls_set_context(_context(hall, flash))
        self.client.on_connect = lambda client, *_: client.subscribe(topic.down(self.hall, name), qos=1)
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert subscribed.wait(10)

    def _on_message(self, _client, _user, message):
        try:
            what, content = self.read(message.payload)
        except Refused:
            return
        with self.changed:
            if what == "command":
                self.commands.append(content)
            elif content.stream == self.stream:
                self.through = max(self.through, content.through)
                self.receipts += 1
            self.changed.notify_all()

    def send(self, *messages):
        for message in messages:
            self.client.publish(self.topic, message, qos=1)

    def deliver(self, message):
        """Send the next message of the stream, and again while it has no receipt, as a device does."""
        wanted, deadline = self.through + 1, time.monotonic() + 60
        while self.through < wanted:
            assert time.monotonic() < deadline, f"no receipt for message {wanted}"
            self.send(message)
            with self.changed:
                self.changed.wait_for(lambda: self.through >= wanted, RESEND_S)

    def wait(self, condition, timeout_s=20):
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), f"receipted through {self.through}"

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def _context(hall, flash):
    """TLS of a device, from the DER files on its flash."""
    folder = hall / "devices" / flash.parent.name
    certificate = x509.load_der_x509_certificate((flash / "tls.crt").read_bytes())
    key = load_der_private_key((flash / "tls.key").read_bytes(), None)
    pair = folder / "pair.pem"
    pair.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.create_default_context(cafile=str(hall / "ca" / "root.pem"))
    context.load_cert_chain(pair)
    return context


def connect(gateway, name, broker, kind="evaluator"):
    """The device `name` of the gateway's hall, connected to `broker` (its `port` counts)."""
    publics = [
        SUITE.public_bytes(SUITE.load_private((gateway.folder / (key + ".key")).read_bytes()))
        for key in ("agreement", "command")
    ]
    registry = json.loads((gateway.folder / "registry.json").read_text())
    place = next(one["window"] for one in registry["devices"] if one["device"] == name)
    return WiredDevice(gateway.folder.parent, name, broker, *publics, kind, place)
