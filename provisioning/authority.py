"""The hall's certificate authorities: an offline root, and an enrolment authority that names clients of the broker.
(A third one says whose key signs records, and opens no door: evidence_authority.py.)

The root signs the enrolment authority and the servers (broker, page, central system). A technician uses the enrolment
authority daily, so a thief of its key must gain little: its own certificate allows client certificates of this hall
only (extended key usage, name constraints), and no device can be made to take a server from it.
An authority's key signs certificates and nothing else.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_NAME = "Hallseal root authority"
ENROLMENT_NAME = "Hallseal enrolment authority"

# The root stays in a safe and outlives every device; all else is renewed yearly, so that a renewal is routine.
ROOT_LIFE = datetime.timedelta(days=3653)
YEAR = datetime.timedelta(days=366)

# A device that has not heard the time yet starts from the moment its flash was written; the clocks of two offices
# differ by minutes.
BACKDATE = datetime.timedelta(hours=1)


class AuthorityError(Exception):
    """The authority cannot issue this. str() is one line for the technician."""


@dataclass(frozen=True)
class Certified:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def key_pem(self) -> bytes:
        """PKCS#8, not encrypted: the file's permissions protect it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def key_der(self) -> bytes:
        """SEC1, which MicroPython reads on every board."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def load(certificate_pem: bytes, key_pem: bytes) -> Certified:
    """An authority from its two files. Raises AuthorityError when they are no pair."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError):
        raise AuthorityError("the authority's certificate or key file is damaged") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityError("the authority's key does not belong to its certificate")
    return Certified(certificate, key)


def make_root(hall: str, now: datetime.datetime) -> Certified:
    """The root of trust of `hall`, signed by itself. now: aware UTC time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = name_of(hall, ROOT_NAME)
    builder = draft(name, key.public_key(), now, now + ROOT_LIFE).issuer_name(name)
    builder = as_authority(builder, path_length=1)
    return Certified(builder.sign(key, hashes.SHA256()), key)


def make_enrolment(hall: str, root: Certified, now: datetime.datetime) -> Certified:
    """The authority that names devices and the gateway to the broker."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft(name_of(hall, ENROLMENT_NAME), key.public_key(), now, _end(root, now))
    builder = as_authority(builder, path_length=0)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    # Critical on purpose: mbedTLS, which devices run, knows no name constraints and refuses the whole certificate. A
    # device therefore takes no server whose chain passes here.
    subtree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, hall)]))
    builder = builder.add_extension(x509.NameConstraints([subtree], [x509.DNSName("")]), critical=True)
    return _signed(builder, key, root)


def issue_server(hall: str, name: str, hosts: Sequence[str], root: Certified, now: datetime.datetime) -> Certified:
    """Certificate of a server that answers at `hosts` (names or IP addresses, at least one).

    Raises AuthorityError for a host that is neither.
    """
    if not hosts:
        raise AuthorityError("a server certificate needs at least one host name or address")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft(name_of(hall, name), key.public_key(), now, _end(root, now))
    builder = as_leaf(builder, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return _signed(builder, key, root)


def issue_client(hall: str, name: str, enrolment: Certified, now: datetime.datetime) -> Certified:
    """Certificate of a client of the broker; `name` (device id or "gateway") becomes its common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft(name_of(hall, name), key.public_key(), now, _end(enrolment, now))
    return _signed(as_leaf(builder, ExtendedKeyUsageOID.CLIENT_AUTH), key, enrolment)


def name_of(hall: str, common_name: str) -> x509.Name:
    """The subject of a certificate of `hall`."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, hall), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _end(issuer: Certified, now: datetime.datetime) -> datetime.datetime:
    """A year from now, but never after the issuer: a certificate that outlives its chain only looks valid."""
    issuer_end = issuer.certificate.not_valid_after_utc
    if issuer_end <= now:
        raise AuthorityError(f"the issuing certificate ended on {issuer_end:%Y-%m-%d}; make a new one first")
    return min(now + YEAR, issuer_end)


def draft(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    """A certificate for `public`, valid from an hour before `now`; purpose and issuer are still to be added."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def usage(signs_certificates: bool) -> x509.KeyUsage:
    """An authority signs certificates and revocations; everybody else, messages."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    """An authority below which `path_length` more may stand."""
    return builder.add_extension(x509.BasicConstraints(True, path_length), critical=True).add_extension(
        usage(signs_certificates=True), critical=True
    )


def as_leaf(
    builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier, critical: bool = False
) -> x509.CertificateBuilder:
    """Whoever signs messages for `purpose`. critical: no software that does not know the purpose takes it."""
    return (
        builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=critical)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise AuthorityError(f"{host!r} is no host name and no IP address") from None


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, issuer: Certified) -> Certified:
    return Certified(sign(builder, issuer), key)


def sign(builder: x509.CertificateBuilder, issuer: Certified) -> x509.Certificate:
    """The certificate of a draft, by `issuer`."""
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.issuer_name(issuer.certificate.subject).add_extension(issuer_id, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())
