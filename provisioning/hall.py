"""Making a hall from nothing: every key, certificate and file of its folder, complete or not at all."""

import datetime
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from protocol import purpose, release
from protocol.suite_host import HostSuite
from provisioning import (
    authority,
    device_keys,
    evidence_authority,
    gateway_settings,
    holders,
    private_folder,
    registry,
    roster,
)
from provisioning.authority import Certified
from provisioning.enrolment import Desk
from provisioning.flash_files import HallFacts
from provisioning.hall_folder import PROFILE, FolderError, HallFolder
from provisioning.hall_plan import HallPlan

# 256 bits: nobody guesses a bearer token.
TOKEN_BYTES = 32

Report = Callable[[str], None]


def make_hall(path: Path, plan: HallPlan, suite: HostSuite, now: datetime.datetime, report: Report) -> HallFolder:
    """Make the hall of `plan` in the new folder `path`, and tell `report` line by line what was made.

    now: aware UTC time. `path` appears only when everything in it is complete.
    Raises PlanError, AuthorityError; FolderError when `path` is there already and not empty, or cannot be written.
    """
    plan.check()
    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FolderError(f"{path} is there already and is never overwritten; name another folder, or move it away")
    if not path.parent.is_dir():
        raise FolderError(f"{path.parent} is no folder; make it first")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _Builder(HallFolder(draft), plan, suite, now, report).build()
        draft.rename(path)
        private_folder.sync(path.parent)
    except OSError as error:
        raise FolderError(f"{path} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return HallFolder(path)


class _Builder:
    """One making of a hall, part by part; each part says what it made and who keeps it."""

    def __init__(
        self, folder: HallFolder, plan: HallPlan, suite: HostSuite, now: datetime.datetime, report: Report
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._suite = suite
        self._now = now
        self._report = report
        self._root = authority.make_root(plan.hall, now)
        self._enrolment = authority.make_enrolment(plan.hall, self._root, now)
        self._evidence = evidence_authority.make(plan.hall, self._root, now)
        self._central_token = secrets.token_urlsafe(TOKEN_BYTES)

    def build(self) -> None:
        """Write every part of the folder."""
        private_folder.make(self._folder.path)
        facts = {"hall": self._plan.hall, "profile": PROFILE}
        self._public("hall.json", _json(facts))
        self._authorities()
        central_public = self._central()
        hall_facts = self._gateway(central_public, self._holders())
        self._broker()
        self._devices(Desk(self._suite, hall_facts, self._enrolment, self._evidence, self._root.certificate_der()))

    def _authorities(self) -> None:
        self._secret("ca/root.key", self._root.key_pem())
        self._public("ca/root.pem", self._root.certificate_pem())
        self._secret("ca/enrol.key", self._enrolment.key_pem())
        self._public("ca/enrol.pem", self._enrolment.certificate_pem())
        self._secret("ca/evidence.key", self._evidence.key_pem())
        self._public("ca/evidence.pem", self._evidence.certificate_pem())
        ends = self._root.certificate.not_valid_after_utc
        self._report(f"ca/       root authority (until {ends:%Y-%m-%d}), enrolment authority (one year),")
        self._report("          evidence authority, which says whose key signs records")
        self._report("          keep root.key offline in a safe; enrol.key and evidence.key stay with the technician,")
        self._report("          on no server; root.pem is all that an audit needs")

    def _central(self) -> bytes:
        private = self._suite.generate_private()
        self._secret("central/hpke.key", private)
        self._secret("central/token", self._central_token.encode())
        server = authority.issue_server(self._plan.hall, "central", self._plan.central_hosts(), self._root, self._now)
        self._pair("central/server", server)
        self._public("central/root.pem", self._root.certificate_pem())
        self._report("central/  key that opens identities of reviewers, server certificate, token of this hall,")
        self._report("          command.pub to verify what the hall says of its records")
        self._report("          goes to the central system; the hall keeps no copy of hpke.key")
        return device_keys.public_of(self._suite, private)

    def _holders(self) -> tuple[bytes, ...]:
        privates = [self._suite.generate_private() for _ in range(release.KEYS)]
        publics = tuple(device_keys.public_of(self._suite, private) for private in privates)
        for number, private in enumerate(privates, 1):
            self._secret(f"{holders.folder_name(number)}/{holders.KEY_NAME}", private)
            self._public(f"{holders.folder_name(number)}/{holders.PUBLICS_NAME}", b"".join(publics))
        self._public(f"gateway/{holders.PUBLICS_NAME}", b"".join(publics))
        self._report(
            f"release/  {release.KEYS} keys; {release.THRESHOLD} of them together let a new program onto devices"
        )
        self._report("          each folder goes to a holder of its own, in a safe; the hall keeps no copy")
        return publics

    def _gateway(self, central_public: bytes, release_keys: tuple[bytes, ...]) -> HallFacts:
        agreement, command = self._suite.generate_private(), self._suite.generate_private()
        self._secret("gateway/agreement.key", agreement)
        self._secret("gateway/command.key", command)
        self._public("gateway/central.pub", central_public)
        self._gateway_evidence(command)
        self._public("central/command.pub", device_keys.public_of(self._suite, command))
        name = gateway_settings.CLIENT_NAME
        self._pair("gateway/tls", authority.issue_client(self._plan.hall, name, self._enrolment, self._now))
        page = authority.issue_server(self._plan.hall, name, self._plan.hosts(), self._root, self._now)
        self._pair("gateway/https", page)
        self._public("gateway/root.pem", self._root.certificate_pem())
        self._secret("gateway/business.token", secrets.token_urlsafe(TOKEN_BYTES).encode())
        self._secret("gateway/audit.token", secrets.token_urlsafe(TOKEN_BYTES).encode())
        self._secret("gateway/technician.token", secrets.token_urlsafe(TOKEN_BYTES).encode())
        self._secret("gateway/supervisor.token", secrets.token_urlsafe(TOKEN_BYTES).encode())
        self._secret("gateway/central.token", self._central_token.encode())
        addresses = self._plan.addresses
        self._public("gateway/gateway.toml", gateway_settings.to_text(self._plan.hall, addresses).encode())
        self._public("gateway/roster.json", roster.to_text(roster.made_up(self._plan.staff)).encode())
        self._report(f"gateway/  keys, certificates, settings, {self._plan.staff} staff, tokens")
        self._report("          goes to the gateway's machine; business.token also to the windows' business system,")
        self._report(
            "          audit.token to whoever compares the counts of devices and stores, to nobody at a window,"
        )
        self._report("          technician.token to whoever enrols fingers, takes devices out of service,")
        self._report("          and takes back from quarantine what was refused,")
        self._report("          supervisor.token to whoever decides that a rating is not adopted")
        return HallFacts(
            hall=self._plan.hall,
            broker_host=addresses.broker_host,
            broker_port=addresses.broker_port,
            server_name=addresses.server_name,
            gateway_agreement=device_keys.public_of(self._suite, agreement),
            command_public=device_keys.public_of(self._suite, command),
            release_keys=release_keys,
        )

    def _gateway_evidence(self, command: bytes) -> None:
        """The key for manifests, what certifies it and the devices' keys, and an empty list of revocations.

        command: the private key whose annotations an audit shall believe as well.
        """
        private = self._suite.generate_private()
        certificates = [
            evidence_authority.certify_gateway(
                self._plan.hall, device_keys.public_of(self._suite, key), self._root, self._now, use
            )
            for key, use in ((private, purpose.MANIFESTS), (command, purpose.ANNOTATIONS))
        ]
        revocations = evidence_authority.revocations({}, self._evidence, self._now)
        self._secret("gateway/evidence.key", private)
        chain = [*certificates, self._evidence.certificate]
        self._public("gateway/evidence.pem", b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        self._public("gateway/evidence.crl", revocations.public_bytes(Encoding.PEM))

    def _broker(self) -> None:
        server = authority.issue_server(self._plan.hall, "broker", self._plan.hosts(), self._root, self._now)
        self._pair("broker/server", server)
        self._public("broker/clients.pem", self._enrolment.certificate_pem() + self._root.certificate_pem())
        self._report("broker/   server certificate for " + ", ".join(self._plan.hosts()))
        self._report("          goes to the broker's machine; clients.pem names who may connect")

    def _devices(self, desk: Desk) -> None:
        devices = []
        for request in self._plan.requests():
            enrolled = desk.enrol(request, self._now)
            self._folder.write_flash(enrolled)
            devices.append(enrolled.device)
        known = registry.of(self._plan.hall, devices)
        self._public("gateway/registry.json", registry.to_text(known).encode())
        self._public("central/devices.json", registry.central_text(known.devices).encode())
        self._report(f"devices/  {len(known.devices)} devices, each with its own keys in devices/<name>/flash")
        self._report("          a flash goes onto its device; remove it here when the device has started")

    def _pair(self, stem: str, certified: Certified) -> None:
        self._public(stem + ".pem", certified.certificate_pem())
        self._secret(stem + ".key", certified.key_pem())

    def _secret(self, name: str, content: bytes) -> None:
        self._write(name, content, private_folder.SECRET_MODE)

    def _public(self, name: str, content: bytes) -> None:
        self._write(name, content, private_folder.PUBLIC_MODE)

    def _write(self, name: str, content: bytes, mode: int) -> None:
        path = self._folder.path / name
        private_folder.make(path.parent)
        private_folder.write(path, content, mode)


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
