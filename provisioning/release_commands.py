"""The console commands for a release, from its sources to the gateway: build, sign, publish."""

import argparse
import datetime
from pathlib import Path

from protocol import release
from protocol.suite_host import HostSuite
from provisioning import holders, publication, registry, release_notice
from provisioning import release as built
from provisioning.hall_folder import HallFolder
from provisioning.release_notice import Draft, Terms

_SIGN = """\
Signs a bundle as one of the three holders; two must. What is signed stands in NAME.notice beside NAME.bundle:

  the first holder    hallseal-provision release sign evaluator.bundle --holder holder-1 \\
                          --kind evaluator --sequence 6 --version 0.2.0 --until 2027-03-31
  the second holder   hallseal-provision release sign evaluator.bundle --holder holder-3

The first makes the notice, and passes both files on. The second builds the bundle from the same sources, or compares
its SHA-256 with somebody who has: whoever signs answers for what devices will run.
"""

_PUBLISH = """\
Lays a bundle that two holders have signed into HALL/gateway/releases. Copy its two files to the gateway's machine, the
bundle first. The gateway finds them within seconds; each device fetches the release, tries it, and keeps it or goes
back.
"""


def add_to(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands of `release`."""
    build = parsers.add_parser("build", help="compile it into one bundle for each kind of device")
    build.add_argument("folder", metavar="OUT", type=Path, help="folder for the bundles, KIND.bundle")
    build.add_argument("--kind", choices=built.KINDS, help="only this kind; without it all")
    build.set_defaults(run=_build)
    sign = parsers.add_parser(
        "sign",
        help="sign a bundle as one of its holders",
        description=_SIGN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _bundle_option(sign)
    sign.add_argument("--holder", metavar="FOLDER", type=Path, required=True, help="the holder's own folder")
    terms = sign.add_argument_group("what the first holder says, and the others may repeat")
    terms.add_argument("--kind", choices=registry.KINDS, help="kind of device that the bundle is for")
    terms.add_argument("--sequence", metavar="N", type=int, help="number of the release; devices never go below it")
    terms.add_argument("--version", metavar="TEXT", help="version for people, like 0.2.0")
    terms.add_argument("--until", metavar="DATE", type=_day, help="its last day, like 2027-03-31")
    sign.set_defaults(run=_sign)
    publish = parsers.add_parser(
        "publish",
        help="offer a signed bundle to the devices",
        description=_PUBLISH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    publish.add_argument("folder", metavar="HALL", type=Path, help="the hall's folder, as `hall init` made it")
    _bundle_option(publish)
    publish.set_defaults(run=_publish)


def _day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def _bundle_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="NAME.bundle", type=Path, help="as built; NAME.notice lies beside it")


def _build(options: argparse.Namespace, now: datetime.datetime) -> int:
    kinds = (options.kind,) if options.kind else built.KINDS
    built.build(options.folder, print, kinds)
    print(f"Written to {options.folder}: {', '.join(f'{kind}.bundle' for kind in kinds)}")
    return 0


def _sign(options: argparse.Namespace, now: datetime.datetime) -> int:
    suite = HostSuite()
    holder = holders.load(options.holder, suite)
    terms = Terms(options.kind, options.sequence, options.version, options.until)
    draft = release_notice.sign(options.bundle, holder, terms, suite, int(now.timestamp()))
    print(f"Holder {holder.number} has signed {draft.path}:")
    _show(draft)
    missing = release.THRESHOLD - len(draft.numbers)
    if missing > 0:
        print(f"{missing} more must sign: give {draft.bundle.name} and {draft.path.name} to another holder.")
    else:
        print("That is enough. Publish it: hallseal-provision release publish HALL " + str(draft.bundle))
    return 0


def _publish(options: argparse.Namespace, now: datetime.datetime) -> int:
    hall = HallFolder(options.folder)
    draft = publication.publish(hall, options.bundle, HostSuite(), int(now.timestamp()))
    name = publication.name_of(draft)
    print(f"{name} is published:")
    _show(draft)
    print(f"Copy gateway/releases/{name}.bundle to the gateway, then {name}.notice; it takes them within seconds.")
    return 0


def _show(draft: Draft) -> None:
    notice = draft.notice
    expires = datetime.datetime.fromtimestamp(notice.expires_s, datetime.UTC)
    print(f"  kind      {notice.device_class}")
    print(f"  sequence  {notice.sequence}")
    print(f"  version   {notice.version}")
    print(f"  expires   {expires:%Y-%m-%d %H:%M} UTC")
    print(f"  bundle    {notice.size_bytes} bytes, SHA-256 {notice.digest.hex()}")
