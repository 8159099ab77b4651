"""A release on its way through the hands of its holders: NAME.bundle, and NAME.notice beside it that they sign.

Each holder signs the bundle that lies before them: what the notice says of it must fit, or nothing is signed.
"""

import datetime
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from protocol import release
from protocol.refusal import Refused
from protocol.release import Notice
from protocol.suite_host import HostSuite
from provisioning import bundle as bundles
from provisioning import private_folder
from provisioning.bundle import BundleError
from provisioning.holders import Holder


class ReleaseError(Exception):
    """The release cannot be signed or published. str() is one line for the technician: what, and what to do."""


@dataclass(frozen=True)
class Terms:
    """What is said of a release when it is begun, and may be said again. None: not said. until: its last day, UTC."""

    kind: str | None = None
    sequence: int | None = None
    version: str | None = None
    until: datetime.date | None = None


@dataclass(frozen=True)
class Draft:
    """A bundle with its notice. payload: what is signed. numbers: of the holders who have signed, each verified."""

    bundle: Path
    content: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signatures: list[object] = field(repr=False)
    numbers: tuple[int, ...]

    @property
    def notice(self) -> Notice:
        """What the notice says."""
        return release.decode(self.payload)

    @property
    def path(self) -> Path:
        """The notice's file."""
        return notice_path(self.bundle)

    def data(self) -> bytes:
        """The notice with its signatures."""
        return release.assemble(self.payload, self.signatures)


def notice_path(bundle: Path) -> Path:
    """NAME.notice of NAME.bundle."""
    return bundle.with_suffix(".notice")


def sign(bundle: Path, holder: Holder, terms: Terms, suite: HostSuite, now_s: int) -> Draft:
    """Sign the notice of `bundle` as `holder`; make it by `terms` where there is none yet. now_s: UTC seconds.

    Raises ReleaseError; nothing is written then.
    """
    draft = _begun(bundle, terms) if not notice_path(bundle).exists() else load(bundle, holder.publics, suite)
    _check_terms(draft, terms)
    _check_kind(draft)
    check_fresh(draft, now_s)
    if holder.number in draft.numbers:
        raise ReleaseError(
            f"holder {holder.number} has signed {draft.path} already; give it to another holder, or publish it"
            if len(draft.numbers) < release.THRESHOLD
            else f"holder {holder.number} has signed {draft.path} already, and it has enough signatures; publish it"
        )
    signed = Draft(
        draft.bundle,
        draft.content,
        draft.payload,
        [*draft.signatures, release.sign(suite, holder.private, draft.payload)],
        (*draft.numbers, holder.number),
    )
    write(signed.path, signed.data())
    return signed


def load(bundle: Path, publics: tuple[bytes, ...], suite: HostSuite) -> Draft:
    """The bundle and its notice, every signature verified under `publics` and the bundle compared.

    Raises ReleaseError, also when the notice belongs to another bundle.
    """
    path = notice_path(bundle)
    content = _content(bundle)
    try:
        payload, signatures = release.parse(_read(path))
        signers = release.signers(suite, list(publics), payload, signatures)
        notice = release.decode(payload)
    except Refused as error:
        raise ReleaseError(
            f"{path} is damaged, or was signed for another hall ({error}); remove it and let the holders sign again"
        ) from None
    if notice.size_bytes != len(content) or notice.digest != hashlib.sha256(content).digest():
        raise ReleaseError(
            f"{path} was made for another bundle of {notice.size_bytes} bytes, {bundle} has {len(content)}; fetch that"
            " bundle, or remove the notice and begin a new release"
        )
    return Draft(bundle, content, payload, signatures, tuple(publics.index(one) + 1 for one in signers))


def write(path: Path, content: bytes) -> None:
    """Put a public file in its place, whole. Raises ReleaseError."""
    try:
        private_folder.put(path, content, private_folder.PUBLIC_MODE)
    except OSError as error:
        raise ReleaseError(f"{path} cannot be written: {error.strerror}") from None


def check_fresh(draft: Draft, now_s: int) -> None:
    """Raises ReleaseError for a notice that has expired."""
    expires_s = draft.notice.expires_s
    if expires_s <= now_s:
        ended = datetime.datetime.fromtimestamp(expires_s, datetime.UTC)
        raise ReleaseError(
            f"{draft.bundle.stem} expired at {ended:%Y-%m-%d %H:%M} UTC, no device would take it;"
            f" remove {draft.path} if it is there, and begin again with a later --until"
        )


def _begun(bundle: Path, terms: Terms) -> Draft:
    """A notice that nobody has signed yet."""
    missing = [f"--{name}" for name, value in vars(terms).items() if value is None]
    if missing:
        raise ReleaseError(f"there is no {notice_path(bundle)} yet; the first holder also gives {' '.join(missing)}")
    content = _content(bundle)
    notice = Notice(
        str(terms.kind),
        int(terms.sequence or 0),
        str(terms.version),
        _expires_s(terms.until),
        len(content),
        hashlib.sha256(content).digest(),
    )
    try:
        return Draft(bundle, content, release.encode(notice), [], ())
    except Refused as error:
        raise ReleaseError(f"no device would take such a notice: {error.detail} is out of range") from None


def _check_terms(draft: Draft, terms: Terms) -> None:
    """What is said again must be what stands in the notice."""
    notice = draft.notice
    stands = {
        "kind": (terms.kind, notice.device_class),
        "sequence": (terms.sequence, notice.sequence),
        "version": (terms.version, notice.version),
        "until": (terms.until and _expires_s(terms.until), notice.expires_s),
    }
    for name, (said, found) in stands.items():
        if said is not None and said != found:
            raise ReleaseError(
                f"{draft.path} says another {name} than --{name}; leave the option out to sign what stands there, or"
                " remove the notice and begin again"
            )


def _check_kind(draft: Draft) -> None:
    """The bundle is one, and has the program of that kind of device."""
    kind = draft.notice.device_class
    try:
        names = [name for name, _ in bundles.rows(draft.content)]
    except BundleError as error:
        raise ReleaseError(f"{draft.bundle}: {error}; build it again") from None
    if f"firmware/{kind}.mpy" not in names:
        raise ReleaseError(f"{draft.bundle} holds no program of a {kind}; give the --kind that it was built for")


def _expires_s(until: datetime.date | None) -> int:
    """The end of that day, UTC."""
    day = until or datetime.date.min
    end = datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    return int(end.timestamp())


def _content(bundle: Path) -> bytes:
    content = _read(bundle)
    if not 0 < len(content) <= release.BUNDLE_BYTES_MAX:
        raise ReleaseError(f"{bundle} has {len(content)} bytes; a bundle has 1 to {release.BUNDLE_BYTES_MAX}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}; bundle and notice must lie side by side") from None
