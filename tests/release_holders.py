"""Holders of release keys for tests: they sign what a test wants and lay it into a folder as a release."""

import hashlib

from sealed_pair import private_key
from sealing_device import MORNING_S, SUITE
from wire_samples import a_notice

from protocol import release

LABELS = ("release 1", "release 2", "release 3")
PUBLICS = [SUITE.public_bytes(SUITE.load_private(private_key(label))) for label in LABELS]


def sign(notice, labels=LABELS[:2]):
    """The assembled notice, signed by these holders."""
    payload = release.encode(notice)
    signatures = [release.sign(SUITE, SUITE.load_private(private_key(label)), payload) for label in labels]
    return release.assemble(payload, signatures)


def notice_of(content, **changes):
    """A notice for this bundle: evaluator, sequence 6, a day to go; changes: attributes that shall differ."""
    facts = {"size_bytes": len(content), "digest": hashlib.sha256(content).digest(), "expires_s": MORNING_S + 86400}
    return a_notice(**{**facts, **changes})


def lay(folder, name, content, labels=LABELS[:2], **changes):
    """Write NAME.bundle and NAME.notice into the folder; the notice as written."""
    folder.mkdir(exist_ok=True)
    data = sign(notice_of(content, **changes), labels)
    (folder / f"{name}.bundle").write_bytes(content)
    (folder / f"{name}.notice").write_bytes(data)
    return data
