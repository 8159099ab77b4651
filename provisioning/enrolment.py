"""Enrolment of one device: keys, certificate, files of its flash, its line in the registry. Touches no file."""

import datetime
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from protocol.suite_host import HostSuite
from provisioning import authority, device_keys, evidence_authority, flash_files, registry
from provisioning.authority import Certified
from provisioning.flash_files import HallFacts


@dataclass(frozen=True)
class Request:
    """A device that shall join. place: window or door. staff_number: who usually sits at that window, if anyone."""

    name: str
    kind: str
    place: str
    staff_number: str | None = None


@dataclass(frozen=True)
class Enrolled:
    """What enrolment made. flash: file name -> content; it holds secrets."""

    device: registry.Device
    flash: dict[str, bytes]


@dataclass(frozen=True)
class Desk:
    """Where devices are enrolled: the two authorities of the technician, the root that devices trust, what they are

    told. enrolment: lets them in at the broker. evidence: says whose key signs records.
    """

    suite: HostSuite
    facts: HallFacts
    enrolment: Certified
    evidence: Certified
    root_der: bytes

    def enrol(self, request: Request, now: datetime.datetime) -> Enrolled:
        """Enrol a device, active at once. now: aware UTC time.

        The caller has checked the request (registry.check_new). Raises AuthorityError when the authority has ended.
        """
        keys = device_keys.make(self.suite)
        tls = authority.issue_client(self.facts.hall, request.name, self.enrolment, now)
        identity = flash_files.identity(self.facts, request.name, request.kind, request.place, int(now.timestamp()))
        signs = evidence_authority.certify_device(
            self.facts.hall, request.name, request.kind, keys.signing_public, self.evidence, now
        )
        device = registry.Device(
            name=request.name,
            kind=request.kind,
            place=request.place,
            status=registry.ACTIVE,
            signing=keys.signing_public,
            agreement=keys.agreement_public,
            staff_number=request.staff_number,
            certificate=signs.public_bytes(Encoding.DER),
        )
        return Enrolled(device, flash_files.contents(identity, keys, tls, self.root_der))
