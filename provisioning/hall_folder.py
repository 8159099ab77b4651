"""The folder of a hall on the technician's machine: where each part lies, and changes of a hall that stands.

A part's folder (gateway, broker, central, a device's flash) is copied to its machine and then kept there only.
"""

import contextlib
import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.suite_host import HostSuite
from provisioning import (
    authority,
    device_keys,
    evidence_authority,
    gateway_settings,
    holders,
    private_folder,
    registry,
)
from provisioning.authority import Certified
from provisioning.enrolment import Desk, Enrolled, Request
from provisioning.flash_files import SECRET_NAMES, HallFacts
from provisioning.registry import Registry

PROFILE = 1


class FolderError(Exception):
    """The folder holds no usable hall. str() is one line for the technician."""


class HallFolder:
    """Paths and contents of one hall's folder. Reading raises FolderError where a file is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts_file = path / "hall.json"
        self.registry_file = path / "gateway" / "registry.json"
        self.central_devices_file = path / "central" / "devices.json"
        self.revocations_file = path / "gateway" / "evidence.crl"
        self.releases = path / "gateway" / gateway_settings.RELEASES_FOLDER

    def flash(self, device: str) -> Path:
        """The folder that becomes the flash of `device`."""
        return self.path / "devices" / device / "flash"

    def hall(self) -> str:
        """The hall's name. Raises FolderError also for a hall of another profile."""
        try:
            facts = json.loads(self._read("hall.json"))
            hall, profile = facts["hall"], facts["profile"]
        except (ValueError, TypeError, KeyError):
            raise FolderError(f"{self.facts_file} is damaged") from None
        if profile != PROFILE:
            raise FolderError(f"{self.facts_file}: profile {profile} is not known; this tool makes profile {PROFILE}")
        return str(hall)

    def registry(self) -> Registry:
        """The registry as it stands. Raises RegistryError when it is damaged."""
        return registry.from_text(self._read("gateway/registry.json").decode())

    def release_keys(self) -> tuple[bytes, ...]:
        """Public keys of the holders of releases, 65 bytes each. Raises HolderError when the file is damaged."""
        return holders.publics(self._read(f"gateway/{holders.PUBLICS_NAME}"))

    def desk(self, suite: HostSuite) -> Desk:
        """The enrolment desk of this hall."""
        host, port, server_name = gateway_settings.broker_of(self._read("gateway/gateway.toml").decode())
        facts = HallFacts(
            hall=self.hall(),
            broker_host=host,
            broker_port=port,
            server_name=server_name,
            gateway_agreement=device_keys.public_of(suite, self._read("gateway/agreement.key")),
            command_public=device_keys.public_of(suite, self._read("gateway/command.key")),
            release_keys=self.release_keys(),
        )
        enrolment = authority.load(self._read("ca/enrol.pem"), self._read("ca/enrol.key"))
        root = x509.load_pem_x509_certificate(self._read("gateway/root.pem"))
        return Desk(suite, facts, enrolment, self._evidence(), root.public_bytes(Encoding.DER))

    def _evidence(self) -> Certified:
        return authority.load(self._read("ca/evidence.pem"), self._read("ca/evidence.key"))

    def add_device(self, request: Request, suite: HostSuite, now: datetime.datetime) -> Enrolled:
        """Enrol one more device: its flash first, then its line in the registry, which lets it in.

        Raises RegistryError, AuthorityError, SettingsError, FolderError; nothing has changed then.
        """
        with self.alone():
            before = self.registry()
            registry.check_new(before, request.name, request.kind, request.place)
            enrolled = self.desk(suite).enrol(request, now)
            if self.flash(request.name).exists():
                raise FolderError(f"{self.flash(request.name)} stands without a registry entry; remove it")
            self.write_flash(enrolled)
            self._replace_registry(registry.add(before, enrolled.device))
        return enrolled

    def revoke_device(self, name: str, now: datetime.datetime) -> None:
        """Revoke `name` from now on. Raises RegistryError when there is no such device, or it is revoked already."""
        with self.alone():
            changed = registry.revoke(self.registry(), name, int(now.timestamp()))
            # The list first: what a gateway refuses by the registry, an audit finds by the list.
            self._replace_revocations(changed, now)
            self._replace_registry(changed)

    def _replace_revocations(self, changed: Registry, now: datetime.datetime) -> None:
        revoked = {
            x509.load_der_x509_certificate(one.certificate).serial_number: datetime.datetime.fromtimestamp(
                one.revoked_at_s, datetime.UTC
            )
            for one in changed.devices
            if one.certificate is not None and one.revoked_at_s is not None
        }
        made = evidence_authority.revocations(revoked, self._evidence(), now)
        private_folder.replace(self.revocations_file, made.public_bytes(Encoding.PEM))

    def write_flash(self, enrolled: Enrolled) -> None:
        """Lay the files of a device's flash into its folder."""
        folder = self.flash(enrolled.device.name)
        private_folder.make(folder)
        for name, content in enrolled.flash.items():
            mode = private_folder.SECRET_MODE if name in SECRET_NAMES else private_folder.PUBLIC_MODE
            private_folder.write(folder / name, content, mode)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise FolderError(f"{self.path / name}: {error.strerror}; is {self.path} the folder of a hall?") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Two technicians do not change one hall at a time: the second waits."""
        self.hall()  # says so where there is no hall
        with private_folder.held(self.facts_file):
            yield

    def _replace_registry(self, changed: Registry) -> None:
        # The central system's keys first: a record of a new device never reaches it before the device's key does.
        private_folder.replace(self.central_devices_file, registry.central_text(changed.devices).encode())
        private_folder.replace(self.registry_file, registry.to_text(changed).encode())
