"""The console command `hallseal-provision`: what a technician types, and what is said back."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from protocol.refusal import Refused
from protocol.suite_host import HostSuite
from provisioning import registry, release_commands
from provisioning.authority import AuthorityError
from provisioning.bundle import BundleError
from provisioning.device_modules import SourceError
from provisioning.enrolment import Request
from provisioning.gateway_settings import Addresses, SettingsError
from provisioning.hall import make_hall
from provisioning.hall_folder import FolderError, HallFolder
from provisioning.hall_plan import HallPlan, PlanError
from provisioning.holders import HolderError
from provisioning.registry import RegistryError
from provisioning.release import BudgetError
from provisioning.release_notice import ReleaseError

# What a technician can put right; everything else is our fault and shows its traceback.
REFUSALS = (
    *(AuthorityError, BudgetError, BundleError, FolderError, HolderError, PlanError, RegistryError, ReleaseError),
    *(SettingsError, SourceError),
)

_OVERVIEW = """\
Makes and keeps a hall: its keys, certificates and list of devices.

  hallseal-provision hall init HALL --hall yongxing    a new hall in the new folder HALL
  hallseal-provision device list HALL                  its devices
  hallseal-provision device add HALL --window 07       one more evaluator; --door D3: a clock
  hallseal-provision device revoke HALL e-003          what it sends from now on is refused
  hallseal-provision release build OUT                 the firmware of every kind of device, one bundle each
  hallseal-provision release sign NAME.bundle          as one of the holders, two of whom must sign a release
  hallseal-provision release publish HALL NAME.bundle  what two have signed is offered to the devices

The folder of a hall holds every secret of it: keep it on the technician's machine, closed to others, and copy each part
only to the machine that it belongs to.
"""


_INIT = """\
Makes every key and certificate of a new hall, a list of devices and a roster with made-up staff, in one new folder:

  ca/        the hall's authorities: keep root.key offline in a safe; enrol.key and evidence.key stay with you, on no
             server. root.pem is all that an audit needs: give it to whoever may judge the hall
  gateway/   goes to the gateway's machine; hallseal-gateway run --config gateway/gateway.toml
  broker/    goes to the MQTT broker
  release/   holder-1 to holder-3 go to three people; two of them together let a new program onto devices. Their keys
             are not encrypted: each folder belongs on a medium that lies in a safe, and is removed here
  central/   goes to the central system; with central/hpke.key it opens identities of reviewers, and nobody else can
  devices/   NAME/flash is written onto the flash of one device, and removed here once the device has started

Every secret is readable by you alone (mode 0600 in folders 0700). A folder that exists is never touched.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it is done, 1 when it was refused (one line on stderr says why), 2 when mistyped."""
    options = _parser().parse_args(arguments)
    now = datetime.datetime.now(datetime.UTC)
    try:
        return int(options.run(options, now))
    except REFUSALS as error:
        print(f"hallseal-provision: {error}", file=sys.stderr)
    except Refused:
        print("hallseal-provision: a key file of the hall is damaged", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hallseal-provision", description=_OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    things = parser.add_subparsers(required=True, metavar="hall|device|release")
    hall = things.add_parser("hall", help="make a new hall").add_subparsers(required=True, metavar="init")
    _init_options(
        hall.add_parser("init", help="make a new hall in a new folder", description=_INIT, formatter_class=_Help)
    )
    device = things.add_parser("device", help="list, add or revoke devices").add_subparsers(
        required=True, metavar="list|add|revoke"
    )
    _list_options(device.add_parser("list", help="the devices of a hall"))
    _add_options(device.add_parser("add", help="enrol one more device"))
    _revoke_options(device.add_parser("revoke", help="let a device in no more"))
    release_commands.add_to(
        things.add_parser("release", help="the firmware of the devices").add_subparsers(
            required=True, metavar="build|sign|publish"
        )
    )
    return parser


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Shows the description as it is written, and defaults, except where none is set."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, []) else super()._get_help_string(action)


def _init_options(parser: argparse.ArgumentParser) -> None:
    plan, addresses = HallPlan, Addresses()
    parser.add_argument("folder", metavar="HALL", type=Path, help="new folder for the hall; never overwrites one")
    parser.add_argument(
        "--hall", metavar="NAME", required=True, help="short name of the hall: 1 to 32 of a-z, 0-9 and -"
    )
    how_many = parser.add_argument_group("how many")
    for option, default, meaning in (
        ("--evaluators", plan.evaluators, "rating devices, one at each window"),
        ("--clocks", plan.clocks, "attendance clocks, one at each staff door"),
        ("--virtual-evaluators", plan.virtual_evaluators, "more of them, for a simulator"),
        ("--virtual-clocks", plan.virtual_clocks, "more of them, for a simulator"),
        ("--staff", plan.staff, "staff with made-up names in the roster"),
    ):
        how_many.add_argument(option, metavar="N", type=int, default=default, help=meaning)
    where = parser.add_argument_group("where")
    where.add_argument("--broker-host", metavar="HOST", default=addresses.broker_host, help="MQTT broker of the hall")
    where.add_argument("--broker-port", metavar="PORT", type=int, default=addresses.broker_port, help="its TLS port")
    where.add_argument("--server-name", metavar="HOST", help="name in the broker's certificate, if not its host")
    where.add_argument("--central-url", metavar="URL", default=addresses.central_url, help="the central system")
    where.add_argument("--page-host", metavar="HOST", default=addresses.page_host, help="where the page listens")
    where.add_argument("--page-port", metavar="PORT", type=int, default=addresses.page_port, help="its port")
    where.add_argument(
        "--server-host",
        action="append",
        default=[],
        metavar="HOST",
        help="one more name or address in the certificates of broker and page; may be repeated",
    )
    parser.set_defaults(run=_init)


def _folder_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="HALL", type=Path, help="the hall's folder, as `hall init` made it")


def _list_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.set_defaults(run=_list)


def _add_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--window", metavar="07", help="an evaluator, for the window of this number")
    place.add_argument("--door", metavar="D3", help="an attendance clock, for the staff door of this name")
    parser.add_argument("--name", help="name of the device; without it the next free one, like e-007")
    parser.set_defaults(run=_add)


def _revoke_options(parser: argparse.ArgumentParser) -> None:
    _folder_option(parser)
    parser.add_argument("name", metavar="NAME", help="the device, as `device list` names it")
    parser.set_defaults(run=_revoke)


def _init(options: argparse.Namespace, now: datetime.datetime) -> int:
    plan = HallPlan(
        hall=options.hall,
        evaluators=options.evaluators,
        clocks=options.clocks,
        virtual_evaluators=options.virtual_evaluators,
        virtual_clocks=options.virtual_clocks,
        staff=options.staff,
        addresses=Addresses(
            broker_host=options.broker_host,
            broker_port=options.broker_port,
            server_name=options.server_name or options.broker_host,
            central_url=options.central_url,
            page_host=options.page_host,
            page_port=options.page_port,
        ),
        server_hosts=tuple(options.server_host),
    )
    make_hall(options.folder, plan, HostSuite(), now, print)
    print(f"The hall {plan.hall} stands in {options.folder}. Its secrets are readable by you alone.")
    return 0


def _list(options: argparse.Namespace, now: datetime.datetime) -> int:
    devices = HallFolder(options.folder).registry().devices
    print(f"{'device':<{_width(devices)}}  kind       place   status")
    for device in devices:
        since = "" if device.revoked_at_s is None else f" since {_moment(device.revoked_at_s)}"
        print(f"{device.name:<{_width(devices)}}  {device.kind:<9}  {device.place:<6}  {device.status}{since}")
    return 0


def _width(devices: Sequence[registry.Device]) -> int:
    return max([len("device"), *(len(device.name) for device in devices)])


def _moment(utc_s: int) -> str:
    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _add(options: argparse.Namespace, now: datetime.datetime) -> int:
    folder = HallFolder(options.folder)
    kind, place = (registry.CLOCK, options.door) if options.window is None else (registry.EVALUATOR, options.window)
    name = options.name or registry.next_name(folder.registry(), kind)
    enrolled = folder.add_device(Request(name, kind, place), HostSuite(), now)
    print(f"{enrolled.device.name} is enrolled for {enrolled.device.place}.")
    print(f"Write {folder.flash(name)} onto its flash, and remove that folder when the device has started.")
    print("Copy gateway/registry.json to the gateway, which takes it within seconds, and central/devices.json upwards.")
    return 0


def _revoke(options: argparse.Namespace, now: datetime.datetime) -> int:
    HallFolder(options.folder).revoke_device(options.name, now)
    print(f"{options.name} is revoked. Copy gateway/registry.json and gateway/evidence.crl to the gateway, which takes")
    print("them within seconds.")
    print("What the device sends from then on is kept in quarantine; its name is never given again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
