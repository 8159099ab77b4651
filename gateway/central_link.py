"""The way to the central system: for each kind of freight a forwarder, a connection and dead letters of its own."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway import dead_letters, tokens
from gateway.configuration import CentralSettings
from gateway.dead_letters import DeadLetters
from gateway.forwarder import Forwarder, Freight, central_client
from gateway.metrics import Metrics
from gateway.operator_log import Head


class CentralLink:
    """folder: where the lists of dead letters lie; opened: closes them at the end."""

    def __init__(
        self,
        settings: CentralSettings,
        hall: str,
        folder: Path,
        opened: ExitStack,
        metrics: Metrics,
        now_s: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._hall = hall
        self._folder = folder
        self._opened = opened
        self._metrics = metrics
        self._now_s = now_s
        self._forwarders: list[Forwarder[Any]] = []

    def forwarder(
        self, freight: Freight, list_name: str, operator_head: Callable[[], Head] | None = None
    ) -> tuple[Forwarder[Any], DeadLetters]:
        """One that waits for no other, and the list of what is refused. operator_head: as in Forwarder.

        Raises ConfigurationError, LedgerError.
        """
        settings = self._settings
        client = central_client(
            settings.url, tokens.read("central", "token_file", settings.token_file) or "", settings.ca
        )
        letters = dead_letters.open_list(self._folder / list_name)
        self._opened.callback(letters.close)
        made: Forwarder[Any] = Forwarder(
            self._hall, client, letters, self._metrics, self._now_s, freight, operator_head
        )
        self._forwarders.append(made)
        return made, letters

    def close(self) -> None:
        """End the connections; deliveries under way fail, and the central system tells what it has by its identity."""
        for one in self._forwarders:
            one.close()
