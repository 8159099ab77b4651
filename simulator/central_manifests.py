"""What a central system checks of a gateway's manifests: who signed them, that none is missing, that the records fit.

With it, a record that was withheld, invented or changed on the way is found within a quarter of an hour.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol import manifest, merkle, purpose, sign1
from protocol.refusal import Refused
from protocol.suite_host import HostSuite
from simulator.central_store import CentralStore, KeptManifest

# What one request may hold: a gateway sends 64.
MANIFESTS_MAX = 256
CERTIFICATES_MAX = 16


class ManifestCheck:
    """Takes the manifests of one hall. root_pem: certificate of the hall's root. store: where its records are."""

    def __init__(self, hall: str, root_pem: bytes, store: CentralStore) -> None:
        self._hall = hall
        self._root = x509.load_pem_x509_certificate(root_pem)
        self._store = store
        self._suite = HostSuite()

    def take(self, asked: Any) -> list[dict[str, object]]:
        """The verdict of each manifest of a request: {"number", "verdict", "reason"}. Raises ValueError for no request.

        One that is the gateway's, but not true of the records, is refused and kept: the chain goes on behind it.
        """
        try:
            certificates, statements, hall = asked["certificates"], asked["manifests"], asked["hall"]
            if hall != self._hall or len(certificates) > CERTIFICATES_MAX or len(statements) > MANIFESTS_MAX:
                raise ValueError("not a batch of this hall")
            keys = self._keys([base64.b64decode(one, validate=True) for one in certificates])
            return [self._take(base64.b64decode(one, validate=True), keys) for one in statements]
        except (KeyError, TypeError, AttributeError, binascii.Error):
            raise ValueError("not a batch") from None

    def _keys(self, certificates: Sequence[bytes]) -> list[ec.EllipticCurvePublicKey]:
        """Keys that the hall's root has certified for manifests."""
        loaded = [x509.load_der_x509_certificate(der) for der in certificates]
        keys = [one.public_key() for one in loaded if self._is_trusted(one)]
        return [key for key in keys if isinstance(key, ec.EllipticCurvePublicKey)]

    def _is_trusted(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self._root)
            uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        halls = [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        return [use.dotted_string for use in uses] == [purpose.MANIFESTS] and halls == [self._hall]

    def _take(self, statement: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> dict[str, object]:
        try:
            signed = sign1.parse(statement, manifest.MANIFEST_TYP)
            content = manifest.decode(signed.payload)
        except Refused as error:
            return _verdict(None, error.reason)
        if not any(sign1.verify(self._suite, key, signed) for key in keys):
            return _verdict(content.number, "signature")
        if content.hall != self._hall:
            return _verdict(content.number, "hall")
        link, (number, before) = manifest.link(signed.payload), self._store.last_manifest()
        if content.number <= number:
            known = self._store.manifest_link(content.number) == link
            return _verdict(content.number, "" if known else "chain")
        reason = self._reason(content, number, before)
        self._store.keep_manifest(KeptManifest(content.number, link, statement, reason))
        return _verdict(content.number, reason)

    def _reason(self, content: manifest.Manifest, number: int, before: bytes) -> str:
        """Why a signed manifest is not true; "" where it is."""
        if content.number != number + 1 or content.previous != before:
            return "chain"
        records = [row for run in content.runs for row in self._store.run(*run)]
        if len(records) != content.count:
            return "records missing"
        if merkle.root([digest for digest, _ in records]) != content.root:
            return "root"
        if merkle.root([word for _, word in records]) != content.words:
            return "words"
        return ""


def _verdict(number: int | None, reason: str) -> dict[str, object]:
    return {"number": number, "verdict": "refused" if reason else "stored", "reason": reason or None}
