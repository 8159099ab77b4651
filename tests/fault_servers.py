"""Brokers that a device cannot talk to, each for a reason of its own, and the certificates that devices show them."""

import contextlib
import datetime
import os
import socket
import struct
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hall_broker import Broker, free_port

from provisioning import authority

HALL = "yongxing"
_DAY = datetime.timedelta(days=1)
# The root is as old as no certificate below it, so that an expired one expired itself.
_PAST, _FUTURE = 500 * _DAY, 10 * _DAY

_LISTENER = """\
listener {port} 127.0.0.1
cafile {folder}/clients.pem
certfile {folder}/{name}.pem
keyfile {folder}/{name}.key
require_certificate true
use_identity_as_username true
allow_anonymous false
"""


class Certificates:
    """servers, devices: {name: Certified}. root: DER. All valid but for what their names say."""

    def __init__(self, now):
        root = authority.make_root(HALL, now - 2 * _PAST)
        young = authority.make_root(HALL, now + _FUTURE)
        self.foreign = authority.make_root(HALL, now)
        self.enrolment = authority.make_enrolment(HALL, root, now)
        foreign_enrolment = authority.make_enrolment(HALL, self.foreign, now)
        self.now, self.root, self.young = now, root, young
        self.servers = {
            "good": self._server(root, now),
            "expired": self._server(root, now - _PAST),
            "early": self._server(root, now + _FUTURE),
            "all_early": self._server(young, now + _FUTURE),
            "foreign": self._server(self.foreign, now),
            "of_enrolment": self._server(self.enrolment, now),  # a thief of the technician's key plays broker
            "device": authority.issue_client(HALL, "e-002", self.enrolment, now),
        }
        self.devices = {
            "good": self._device(self.enrolment, now),
            "foreign": self._device(foreign_enrolment, now),
            "expired": self._device(self.enrolment, now - _PAST),
            "early": self._device(self.enrolment, now + _FUTURE),
            "revoked": self._device(self.enrolment, now),
        }

    def _server(self, issuer, now):
        return authority.issue_server(HALL, "broker", ["127.0.0.1", "broker"], issuer, now)

    def _device(self, issuer, now):
        return authority.issue_client(HALL, "e-001", issuer, now)

    def revocations(self):
        """Lists of both authorities, which OpenSSL wants for every link of a chain."""
        serial = self.devices["revoked"].certificate.serial_number
        return self._list(self.enrolment, [serial]) + self._list(self.root, [])

    def _list(self, issuer, serials):
        made = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
        made = made.last_update(self.now - _DAY).next_update(self.now + 30 * _DAY)
        for serial in serials:
            gone = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.now - _DAY)
            made = made.add_revoked_certificate(gone.build())
        return made.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def write(self, folder):
        """Devices' files in DER as on a flash, servers' in PEM as for a broker."""
        (folder / "clients.pem").write_bytes(self.enrolment.certificate_pem() + self.root.certificate_pem())
        (folder / "revoked.crl").write_bytes(self.revocations())
        for name, root in (("root", self.root), ("young", self.young)):
            (folder / f"{name}.crt").write_bytes(root.certificate_der())
        for name, made in self.devices.items():
            (folder / f"device-{name}.crt").write_bytes(made.certificate_der())
            (folder / f"device-{name}.key").write_bytes(made.key_der())
        for name, made in self.servers.items():
            (folder / f"{name}.pem").write_bytes(made.certificate_pem())
            (folder / f"{name}.key").write_bytes(made.key_pem())


class FaultyMosquitto(Broker):
    """One mosquitto, a listener for each fault. ports: {name: port}; "good" has none. certificates: what it shows."""

    def __init__(self, command, folder):
        folder.mkdir()
        certificates = Certificates(datetime.datetime.now(datetime.UTC))
        certificates.write(folder)
        self.ports, self._conf = {}, ""
        for name in certificates.servers:
            self._listen(folder, name, name)
        self._listen(folder, "tls13", "good", "tls_version tlsv1.3\n")
        self._listen(folder, "revoking", "good", f"crlfile {folder}/revoked.crl\n")
        self.ports["plain"] = free_port()
        self._conf += f"listener {self.ports['plain']} 127.0.0.1\nallow_anonymous true\n"
        (folder / "passwords").write_text("")
        self.ports["passwords"] = free_port()
        self._conf += f"listener {self.ports['passwords']} 127.0.0.1\npassword_file {folder}/passwords\n"
        self._conf += f"cafile {folder}/clients.pem\ncertfile {folder}/good.pem\nkeyfile {folder}/good.key\n"
        self._conf += "allow_anonymous false\n"
        user = "user root\n" if os.geteuid() == 0 else ""  # it would drop to its own, who may not read this folder
        (folder / "mosquitto.conf").write_text("per_listener_settings true\n" + user + self._conf)
        super().__init__([command, "-c", str(folder / "mosquitto.conf")], self.ports["good"], folder / "log")

    def _listen(self, folder, name, certificate, extra=""):
        self.ports[name] = free_port()
        self._conf += _LISTENER.format(port=self.ports[name], folder=folder, name=certificate) + extra


def _silent(connection):
    """Hears the hello and says nothing."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def _closing(connection):
    connection.recv(4096)
    connection.close()


def _resetting(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _web(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    connection.close()


class StrangeServers:
    """What else may listen at a broker's port. ports: {name: port}; at "nobody" nothing does."""

    def __init__(self):
        self._sockets = []
        self.ports = {"nobody": free_port()}
        for name, serve in (("silent", _silent), ("closing", _closing), ("resetting", _resetting), ("web", _web)):
            self.ports[name] = self._listen(serve)

    def _listen(self, serve):
        listening = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listening)
        threading.Thread(target=self._accept, args=(listening, serve), daemon=True).start()
        return listening.getsockname()[1]

    def _accept(self, listening, serve):
        with contextlib.suppress(OSError):
            while True:
                serve(listening.accept()[0])

    def close(self):
        for one in self._sockets:
            one.shutdown(socket.SHUT_RDWR)
            one.close()
