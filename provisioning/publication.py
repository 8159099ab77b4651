"""Publishing a release: a signed bundle into the folder from which the gateway serves it."""

from pathlib import Path

from protocol import release
from protocol.refusal import Refused
from protocol.suite_host import HostSuite
from provisioning import private_folder, release_notice
from provisioning.hall_folder import HallFolder
from provisioning.release_notice import Draft, ReleaseError


def publish(hall: HallFolder, bundle: Path, suite: HostSuite, now_s: int) -> Draft:
    """Lay `bundle` and its notice, checked as a device checks them, into the hall's folder of releases.

    now_s: UTC seconds. The bundle first: a gateway takes the release when its notice is there. Raises ReleaseError,
    FolderError, HolderError; nothing is published then.
    """
    with hall.alone():
        publics = hall.release_keys()
        draft = release_notice.load(bundle, publics, suite)
        if len(draft.numbers) < release.THRESHOLD:
            raise ReleaseError(
                f"{draft.path} is signed by {len(draft.numbers)} of {release.THRESHOLD} holders; let another one sign"
            )
        release_notice.check_fresh(draft, now_s)
        _check_above(draft, hall.releases, publics, suite)
        private_folder.make(hall.releases)
        for suffix, content in ((".bundle", draft.content), (".notice", draft.data())):
            release_notice.write(hall.releases / (name_of(draft) + suffix), content)
    return draft


def name_of(draft: Draft) -> str:
    """What both files are called in the gateway's folder."""
    return f"{draft.notice.device_class}-{draft.notice.sequence}"


def _check_above(draft: Draft, releases: Path, publics: tuple[bytes, ...], suite: HostSuite) -> None:
    """A device never goes back: raises ReleaseError unless the number is above all that its kind was offered."""
    notice = draft.notice
    for path in sorted(releases.glob("*.notice")):
        try:
            known = release.open(suite, list(publics), path.read_bytes())
        except (OSError, Refused):
            raise ReleaseError(f"{path} is damaged; remove it, then publish again") from None
        if known.device_class == notice.device_class and known.sequence >= notice.sequence:
            raise ReleaseError(
                f"sequence {notice.sequence} is not above {known.sequence}, which is published for every"
                f" {notice.device_class}; let the holders sign it with --sequence {known.sequence + 1}"
            )
