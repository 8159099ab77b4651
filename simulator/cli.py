"""The console command `hallseal-simulator`: a hall without hardware, whole or in parts."""

import argparse
import sys
from collections.abc import Sequence

from simulator import broker, central, demo, fleet, freezing, outcomes, screens

_OVERVIEW = """\
A service hall without hardware: real firmware on MicroPython VMs, virtual devices, visitors and staff, an MQTT broker,
and a double of the central system.

  hallseal-simulator demo --for 30            a whole hall for half a minute, with a reconciliation at its end
  hallseal-simulator demo --for 30 --chaos    the same, while gateway and broker are killed in the middle
  hallseal-simulator screens OUT              every screen of the devices as a picture
  hallseal-simulator link OUT                 the device modules linked, as a small board should freeze them
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="hallseal-simulator", description=_OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in (demo, fleet, broker, central, outcomes, screens, freezing):
        part.add_parser(commands)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
