"""The files of a device's flash, read by the VM that devices run: keys, certificates, TLS to the broker."""

import contextlib
import datetime
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.suite_host import HostSuite
from provisioning import authority

pytestmark = pytest.mark.micropython

RunVm = Callable[..., subprocess.CompletedProcess[str]]

CONNECT = """
import socket, ssl
flash, port = sys.argv[1], int(sys.argv[2])
def read(name):
    with open(flash + "/" + name, "rb") as file:
        return file.read()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_cert_chain(read("tls.crt"), read("tls.key"))
context.load_verify_locations(cadata=read("root.crt"))
context.verify_mode = ssl.CERT_REQUIRED
plain = socket.socket()
plain.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
try:
    tls = context.wrap_socket(plain, server_hostname="127.0.0.1")
    tls.write(b"hello")
    print("answer", tls.read(5))
except (OSError, ValueError) as error:
    print("refused", type(error).__name__, error)
"""

IDENTITY = """
from firmware.identity import Identity
from protocol.suite_device import DeviceSuite
me = Identity(sys.argv[1])
suite = DeviceSuite()
print(me.device, me.hall, me.kind, me.place, me.broker_host, me.broker_port, me.server_name)
for key in (me.signing_key, me.agreement_key):
    print(suite.public_bytes(suite.load_private(key)).hex())
for key in (me.gateway_key, me.command_key):
    suite.load_public(key)
"""


class Listener:
    """A TLS server on a free loopback port; `peers` are the subjects of the clients that it took."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(30)
        self.port = self._socket.getsockname()[1]
        self.peers: list[str] = []
        self._thread = threading.Thread(target=self._serve_one, daemon=True)

    def _serve_one(self) -> None:
        with contextlib.suppress(OSError):
            plain, _ = self._socket.accept()
            plain.settimeout(30)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                certificate = connection.getpeercert() or {}
                self.peers += [value for rdn in certificate["subject"] for key, value in rdn if key == "commonName"]
                connection.sendall(connection.recv(5))

    @contextlib.contextmanager
    def listening(self) -> Iterator["Listener"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._socket.close()
            self._thread.join(timeout=30)


def _broker(hall: Path, certificate: Path, key: Path) -> Listener:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(hall / "broker/clients.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return Listener(context)


def test_a_device_reads_its_identity_and_keys(hall_dir: Path, run_micropython: RunVm) -> None:
    flash = hall_dir / "devices/e-001/flash"
    suite = HostSuite()
    public = [
        suite.public_bytes(suite.load_private((flash / name).read_bytes())).hex()
        for name in ("signing.key", "agreement.key")
    ]
    done = run_micropython(IDENTITY, str(flash))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["e-001 yongxing evaluator 01 127.0.0.1 8883 127.0.0.1", *public]


def test_a_device_connects_to_the_broker_with_the_files_of_its_flash(hall_dir: Path, run_micropython: RunVm) -> None:
    broker = _broker(hall_dir, hall_dir / "broker/server.pem", hall_dir / "broker/server.key")
    with broker.listening():
        done = run_micropython(CONNECT, str(hall_dir / "devices/e-001/flash"), str(broker.port))
    assert done.stdout.splitlines() == ["answer b'hello'"], done.stderr
    assert broker.peers == ["e-001"]


def test_a_device_refuses_a_broker_below_another_root(hall_dir: Path, tmp_path: Path, run_micropython: RunVm) -> None:
    foreign_root = authority.make_root("yongxing", datetime.datetime.now(datetime.UTC))
    _refuses(hall_dir, tmp_path, foreign_root, run_micropython, "certificate is not correctly signed by the trusted CA")


def test_a_device_refuses_a_broker_made_with_a_stolen_enrolment_key(
    hall_dir: Path, tmp_path: Path, run_micropython: RunVm
) -> None:
    enrolment = authority.load((hall_dir / "ca/enrol.pem").read_bytes(), (hall_dir / "ca/enrol.key").read_bytes())
    _refuses(hall_dir, tmp_path, enrolment, run_micropython, "X509_INVALID_EXTENSIONS")


def _refuses(hall: Path, folder: Path, issuer: authority.Certified, run_micropython: RunVm, reason: str) -> None:
    """A device of `hall` refuses a broker whose certificate comes from `issuer`, shown with its whole chain."""
    now = datetime.datetime.now(datetime.UTC)
    false = authority.issue_server("yongxing", "broker", ["localhost", "127.0.0.1"], issuer, now)
    (folder / "false.pem").write_bytes(false.certificate_pem() + issuer.certificate_pem())
    (folder / "false.key").write_bytes(false.key_pem())
    broker = _broker(hall, folder / "false.pem", folder / "false.key")
    with broker.listening():
        done = run_micropython(CONNECT, str(hall / "devices/e-001/flash"), str(broker.port))
    assert done.stdout.startswith("refused"), done.stdout + done.stderr
    assert reason in done.stdout
    assert broker.peers == []
