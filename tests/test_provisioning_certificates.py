"""The hall's certificates do what TLS asks of them, in real handshakes, and nothing more."""

import datetime
import hashlib
import json
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.findings import Findings
from gateway.trust import Trust
from protocol.purpose import RECORDS
from protocol.suite_host import HostSuite
from provisioning import authority, evidence_authority
from provisioning.authority import AuthorityError, Certified

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

# Round trips of a TLS handshake: two for 1.3, three for 1.2; ten is a loop.
ROUNDS_MAX = 10


@dataclass
class Side:
    """One end of a TLS connection in memory."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    done: bool = False

    def step(self) -> None:
        if not self.done:
            try:
                self.tls.do_handshake()
                self.done = True
            except ssl.SSLWantReadError:
                pass


def _side(context: ssl.SSLContext, server_name: str | None) -> Side:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=server_name is None, server_hostname=server_name)
    return Side(tls, incoming, outgoing)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, server_name: str) -> Side:
    """Whole handshake; gives the server's side. Raises ssl.SSLError."""
    one, other = _side(server, None), _side(client, server_name)
    for _ in range(ROUNDS_MAX):
        other.step()
        one.incoming.write(other.outgoing.read())
        one.step()
        other.incoming.write(one.outgoing.read())
        if one.done and other.done:
            return one
    raise AssertionError("the handshake does not end")


def client_name(server: Side) -> str:
    """Common name in the certificate that the client showed."""
    certificate = server.tls.getpeercert()
    assert certificate
    return next(value for rdn in certificate["subject"] for key, value in rdn if key == "commonName")


def _server(hall: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hall / "broker/server.pem", hall / "broker/server.key")
    context.load_verify_locations(hall / "broker/clients.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client(root: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(root))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def _write(folder: Path, name: str, certified: Certified) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(certified.certificate_pem())
    key.write_bytes(certified.key_pem())
    return certificate, key


def _authorities(hall: Path) -> tuple[Certified, Certified]:
    root, enrolment = (
        authority.load((hall / f"ca/{name}.pem").read_bytes(), (hall / f"ca/{name}.key").read_bytes())
        for name in ("root", "enrol")
    )
    return root, enrolment


@pytest.mark.parametrize("server_name", ["localhost", "127.0.0.1"])
def test_gateway_and_broker_shake_hands(hall_dir: Path, server_name: str) -> None:
    client = _client(hall_dir / "gateway/root.pem", hall_dir / "gateway/tls.pem", hall_dir / "gateway/tls.key")
    assert client_name(shake_hands(_server(hall_dir), client, server_name)) == "gateway"


def test_a_device_is_named_by_its_certificate(hall_dir: Path, tmp_path: Path) -> None:
    flash = hall_dir / "devices/e-002/flash"
    certificate = x509.load_der_x509_certificate((flash / "tls.crt").read_bytes())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "e-002"
    (tmp_path / "tls.pem").write_text(ssl.DER_cert_to_PEM_cert((flash / "tls.crt").read_bytes()))
    (tmp_path / "root.pem").write_text(ssl.DER_cert_to_PEM_cert((flash / "root.crt").read_bytes()))
    key = load_der_private_key((flash / "tls.key").read_bytes(), None)
    (tmp_path / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    client = _client(tmp_path / "root.pem", tmp_path / "tls.pem", tmp_path / "tls.key")
    assert client_name(shake_hands(_server(hall_dir), client, "localhost")) == "e-002"


@pytest.mark.parametrize("server", ["gateway/https", "central/server"])
def test_page_and_central_system_are_verified_by_the_root(hall_dir: Path, server: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hall_dir / f"{server}.pem", hall_dir / f"{server}.key")
    assert shake_hands(context, _client(hall_dir / "ca/root.pem"), "127.0.0.1").done


def test_the_broker_refuses_a_client_without_certificate(hall_dir: Path) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(_server(hall_dir), _client(hall_dir / "gateway/root.pem"), "localhost")


def _with_key(folder: Path, raw: bytes, *certificates: bytes) -> tuple[Path, Path]:
    """Certificate chain (DER) and key of 32 raw bytes, as files for TLS."""
    chain, key = folder / "chain.pem", folder / "chain.key"
    chain.write_text("".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates))
    private = HostSuite().load_private(raw)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, key


def test_keys_that_sign_evidence_open_no_door_at_the_broker(hall_dir: Path, tmp_path: Path) -> None:
    root, _ = _authorities(hall_dir)
    server, trusted = _server(hall_dir), hall_dir / "gateway/root.pem"
    entry = json.loads((hall_dir / "gateway/registry.json").read_text())["devices"][0]
    own, annotating, evidence = x509.load_pem_x509_certificates((hall_dir / "gateway/evidence.pem").read_bytes())
    chains = (
        ((hall_dir / "devices/e-001/flash/signing.key").read_bytes(), bytes.fromhex(entry["certificate"]), evidence),
        ((hall_dir / "gateway/evidence.key").read_bytes(), own.public_bytes(Encoding.DER), None),
        ((hall_dir / "gateway/command.key").read_bytes(), annotating.public_bytes(Encoding.DER), None),
    )
    for raw, leaf, above in chains:
        shown = [leaf] + ([above.public_bytes(Encoding.DER)] if above is not None else [])
        with pytest.raises(ssl.SSLError, match="verify failed"):
            shake_hands(server, _client(trusted, *_with_key(tmp_path, raw, *shown)), "localhost")
    # What the root issues for the same name as a login does pass: it is the purpose that keeps the others out.
    login = authority.issue_client("yongxing", "gateway evidence", root, NOW)
    assert shake_hands(server, _client(trusted, *_write(tmp_path, "login", login)), "localhost").done


def test_the_technicians_authority_for_evidence_can_make_no_gateway(hall_dir: Path) -> None:
    """Its own certificate allows records only; an audit takes manifests from keys that the root certified."""
    evidence = x509.load_pem_x509_certificates((hall_dir / "gateway/evidence.pem").read_bytes())[-1]
    uses = evidence.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (uses.critical, [use.dotted_string for use in uses.value]) == (True, [RECORDS])
    assert evidence.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    technician = authority.load(
        (hall_dir / "ca/evidence.pem").read_bytes(), (hall_dir / "ca/evidence.key").read_bytes()
    )
    made = evidence_authority.certify_gateway("yongxing", bytes.fromhex(_point()), technician, NOW)
    findings, trust = Findings(), Trust((hall_dir / "ca/root.pem").read_bytes())
    trust.learn([evidence.public_bytes(Encoding.DER), made.public_bytes(Encoding.DER)], [], findings)
    assert findings.counts["certificate"] == 1
    assert trust.gateway_keys(hashlib.sha256(bytes.fromhex(_point())).digest()[:4]) == []


def _point() -> str:
    return HostSuite().public_bytes(HostSuite().load_private(bytes(31) + b"\1")).hex()


def test_the_broker_refuses_a_client_of_another_hall_of_the_same_name(hall_dir: Path, tmp_path: Path) -> None:
    root = authority.make_root("yongxing", NOW)
    foreign = authority.issue_client("yongxing", "e-001", authority.make_enrolment("yongxing", root, NOW), NOW)
    client = _client(hall_dir / "gateway/root.pem", *_write(tmp_path, "foreign", foreign))
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake_hands(_server(hall_dir), client, "localhost")


def test_a_server_certificate_is_no_ticket_for_a_client(hall_dir: Path) -> None:
    client = _client(hall_dir / "gateway/root.pem", hall_dir / "central/server.pem", hall_dir / "central/server.key")
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake_hands(_server(hall_dir), client, "localhost")


def test_a_client_certificate_serves_nobody(hall_dir: Path) -> None:
    server = _server(hall_dir)
    server.load_cert_chain(hall_dir / "gateway/tls.pem", hall_dir / "gateway/tls.key")
    client = _client(hall_dir / "gateway/root.pem", hall_dir / "gateway/tls.pem", hall_dir / "gateway/tls.key")
    client.load_verify_locations(hall_dir / "ca/enrol.pem")
    client.check_hostname = False
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake_hands(server, client, "localhost")


def test_whoever_steals_the_enrolment_key_cannot_play_the_broker(hall_dir: Path, tmp_path: Path) -> None:
    _, enrolment = _authorities(hall_dir)
    false_broker = authority.issue_server("yongxing", "broker", ["localhost"], enrolment, NOW)
    certificate, key = _write(tmp_path, "false", false_broker)
    certificate.write_bytes(certificate.read_bytes() + (hall_dir / "ca/enrol.pem").read_bytes())
    server = _server(hall_dir)
    server.load_cert_chain(certificate, key)
    client = _client(hall_dir / "gateway/root.pem", hall_dir / "gateway/tls.pem", hall_dir / "gateway/tls.key")
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake_hands(server, client, "localhost")


def test_whoever_steals_the_enrolment_key_gets_into_no_other_hall(hall_dir: Path, tmp_path: Path) -> None:
    """Even where a second hall hung below the same root: the enrolment authority names clients of its own hall only."""
    _, enrolment = _authorities(hall_dir)
    client = authority.issue_client("xuchang", "e-001", enrolment, NOW)
    context = _client(hall_dir / "gateway/root.pem", *_write(tmp_path, "other", client))
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake_hands(_server(hall_dir), context, "localhost")


def test_openssl_verifies_every_certificate_for_its_purpose(hall_dir: Path, openssl: str) -> None:
    for purpose, name in [
        ("sslserver", "broker/server.pem"),
        ("sslserver", "gateway/https.pem"),
        ("sslserver", "central/server.pem"),
        ("sslclient", "gateway/tls.pem"),
    ]:
        command = [openssl, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", hall_dir / "ca/root.pem"]
        command += ["-untrusted", hall_dir / "ca/enrol.pem", hall_dir / name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr)
        wrong = {"sslserver": "sslclient", "sslclient": "sslserver"}[purpose]
        command[command.index(purpose)] = wrong
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0, (name, wrong)


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_authorities_sign_certificates_and_leaves_sign_nothing(hall_dir: Path) -> None:
    for name, path_length in [("ca/root.pem", 1), ("ca/enrol.pem", 0)]:
        extensions = _certificate(hall_dir / name).extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and constraints.value == x509.BasicConstraints(True, path_length)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.key_cert_sign and usage.crl_sign and not usage.digital_signature
    for name, purpose in [
        ("broker/server.pem", ExtendedKeyUsageOID.SERVER_AUTH),
        ("gateway/tls.pem", ExtendedKeyUsageOID.CLIENT_AUTH),
    ]:
        extensions = _certificate(hall_dir / name).extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]


def test_the_enrolment_authority_is_for_clients_of_its_hall_only(hall_dir: Path) -> None:
    extensions = _certificate(hall_dir / "ca/enrol.pem").extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.excluded_subtrees == [x509.DNSName("")]
    hall = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "yongxing")])
    assert constraints.value.permitted_subtrees == [x509.DirectoryName(hall)]


def test_the_root_lives_ten_years_and_all_else_one(hall_dir: Path) -> None:
    def days(name: str) -> int:
        certificate = _certificate(hall_dir / name)
        assert certificate.not_valid_before_utc < datetime.datetime.now(datetime.UTC)
        return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days

    assert days("ca/root.pem") == 3653
    for name in ("ca/enrol.pem", "gateway/tls.pem", "gateway/https.pem", "broker/server.pem", "central/server.pem"):
        assert days(name) == 366, name


def test_no_certificate_outlives_the_one_that_signed_it() -> None:
    root = authority.make_root("yongxing", NOW)
    enrolment = authority.make_enrolment("yongxing", root, NOW)
    late = NOW + datetime.timedelta(days=300)
    client = authority.issue_client("yongxing", "e-001", enrolment, late)
    assert client.certificate.not_valid_after_utc == enrolment.certificate.not_valid_after_utc
    with pytest.raises(AuthorityError, match="ended on"):
        authority.issue_client("yongxing", "e-001", enrolment, NOW + datetime.timedelta(days=367))


@pytest.mark.parametrize("hosts", [[], ["永兴"], ["localhost", "汉"]])
def test_a_host_that_no_certificate_can_carry_is_refused(hosts: list[str]) -> None:
    with pytest.raises(AuthorityError):
        authority.issue_server("yongxing", "broker", hosts, authority.make_root("yongxing", NOW), NOW)


def test_an_authority_with_the_key_of_another_is_refused(hall_dir: Path) -> None:
    with pytest.raises(AuthorityError, match="does not belong"):
        authority.load((hall_dir / "ca/enrol.pem").read_bytes(), (hall_dir / "ca/root.key").read_bytes())
    with pytest.raises(AuthorityError, match="damaged"):
        authority.load(b"rubbish", (hall_dir / "ca/root.key").read_bytes())
