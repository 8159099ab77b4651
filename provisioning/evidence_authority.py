"""Certificates for what is signed and kept: whose key signs records, whose key signs manifests. They open no door.

An audit, years later, has the root's certificate and nothing else. The root signs the gateway's key for manifests and
an evidence authority; the technician uses that one daily to certify each device's key for records, and to revoke it.
All are valid until the root ends: what they signed must verify for years, and a lost key is revoked, with the time.
"""

import datetime
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol import purpose
from provisioning.authority import AuthorityError, Certified, as_authority, as_leaf, draft, name_of, sign

EVIDENCE_NAME = "Hallseal evidence authority"
GATEWAY_NAME = "gateway evidence"

_RECORDS = x509.ObjectIdentifier(purpose.RECORDS)


def make(hall: str, root: Certified, now: datetime.datetime) -> Certified:
    """The authority that certifies the devices' keys for records, and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft(name_of(hall, EVIDENCE_NAME), key.public_key(), now, _end(root))
    builder = as_authority(builder, path_length=0)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_RECORDS]), critical=True)
    return Certified(sign(builder, root), key)


def certify_gateway(
    hall: str, public: bytes, root: Certified, now: datetime.datetime, use: str = purpose.MANIFESTS
) -> x509.Certificate:
    """A key of the gateway (65 bytes) for manifests or annotations, by the root: no technician can make another one."""
    builder = draft(name_of(hall, GATEWAY_NAME), _key(public), now, _end(root))
    return sign(as_leaf(builder, x509.ObjectIdentifier(use), critical=True), root)


def certify_device(
    hall: str, device: str, kind: str, public: bytes, evidence: Certified, now: datetime.datetime
) -> x509.Certificate:
    """A device's key for records (65 bytes). kind: "evaluator" or "clock", as organizational unit of the subject."""
    kind_name = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, kind)])
    organization, common_name = name_of(hall, device).rdns
    builder = draft(x509.Name([organization, kind_name, common_name]), _key(public), now, _end(evidence))
    return sign(as_leaf(builder, _RECORDS, critical=True), evidence)


def revocations(
    revoked: Mapping[int, datetime.datetime], evidence: Certified, now: datetime.datetime
) -> x509.CertificateRevocationList:
    """The list of revoked keys. revoked: {serial number: since when}. Its number grows with every revocation.

    It names no next one: who audits old evidence judges by the times in it.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(evidence.certificate.subject)
        .last_update(now)
        .next_update(_end(evidence))
        .add_extension(x509.CRLNumber(1 + len(revoked)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(evidence.key.public_key()), critical=False)
    )
    for serial, since in revoked.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(evidence.key, hashes.SHA256())


def _key(public: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    except ValueError:
        raise AuthorityError("a public key is no point of the curve P-256") from None


def _end(issuer: Certified) -> datetime.datetime:
    return issuer.certificate.not_valid_after_utc
