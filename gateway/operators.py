"""What a gateway keeps of its operators, put together: the log, the tokens' uses, and what looks after both."""

from collections.abc import Callable, Mapping

from gateway import operator_checkpoint
from gateway.configuration import GatewayConfiguration
from gateway.ledger import Ledger
from gateway.operator_log import OperatorLog
from gateway.operator_watch import OperatorWatch
from gateway.periodic import Periodic
from gateway.registry import Registry, RosterFile
from gateway.token_use import TokenUse

# How often files and tokens are looked at: as often as the registry (gateway.registry), at two stat() each.
WATCH_S = 2.0
# Within this the end of the log is at the central system, also when no batch takes it along.
TELL_HEAD_S = 30.0


class Operators:
    """log, token_use: for whoever has something to tell. publics: the gateway's public keys by name.

    refresh: looks whether the files of registry and roster have changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        roster: RosterFile,
        configuration: GatewayConfiguration,
        publics: Mapping[str, bytes],
        refresh: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self.log = OperatorLog(ledger, configuration.clock)
        self.token_use = TokenUse(self.log.hand_in)
        watch = OperatorWatch(self.log, ledger, registry, roster, configuration, publics, self.token_use, refresh)
        self.periodics = [Periodic("operator-watch", WATCH_S, watch.look)]

    def forward(self, tell_head: Callable[[], None]) -> None:
        """Have the end of the log told by `tell_head`, again and again. Before start()."""
        self.periodics.append(Periodic("operator-head", TELL_HEAD_S, tell_head))

    def start(self) -> None:
        """Start looking; the first look tells what changed while the gateway did not run."""
        for one in self.periodics:
            one.start()

    def compact(self, now_s: int) -> int:
        """What is too old leaves the log; how many lines. Once a day of the hall."""
        return self._ledger.write(lambda connection: operator_checkpoint.compact(connection, now_s)).result()

    def finish(self) -> None:
        """Tell what was only counted so far, before the ledger is closed."""
        self.token_use.tell(at_once=True)
