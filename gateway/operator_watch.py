"""Looks every few seconds for what the operator log must tell by itself: files that changed, tokens that were used."""

from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import Connection

from gateway import known_state
from gateway.configuration import GatewayConfiguration
from gateway.file_prints import FilePrints
from gateway.known_state import State
from gateway.ledger import Ledger
from gateway.operator_log import OperatorLog
from gateway.registry import Device, Registry, Roster, RosterFile
from gateway.token_use import TokenUse


class OperatorWatch:
    """`look` is the work of a Periodic; the first look tells what changed while the gateway did not run.

    publics: the gateway's public keys by name. refresh: looks whether registry and roster have changed.
    """

    def __init__(
        self,
        log: OperatorLog,
        ledger: Ledger,
        registry: Registry,
        roster: RosterFile,
        configuration: GatewayConfiguration,
        publics: Mapping[str, bytes],
        use: TokenUse,
        refresh: Callable[[], None],
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._registry = registry
        self._roster = roster
        self._fixed = {**known_state.of_keys(publics), **known_state.of_configuration(configuration)}
        self._files = FilePrints(_files(configuration))
        self._use = use
        self._refresh = refresh
        self._told: tuple[Mapping[str, Device], Roster, Mapping[str, str]] | None = None

    def look(self) -> None:
        """Compare and tell. Raises what the ledger raises; the next look tells the same then."""
        self._refresh()
        devices, roster = self._registry.devices(), self._roster.current()
        files = self._files.look()
        if self._told is None or devices is not self._told[0] or (roster, files) != self._told[1:]:
            self._tell(devices, roster, files)
            self._told = devices, roster, files
        self._use.tell()

    def _tell(self, devices: Mapping[str, Device], roster: Roster, files: Mapping[str, str]) -> None:
        of_people = {**known_state.of_devices(devices), **known_state.of_roster(roster)}
        present = {**self._fixed, **of_people, **known_state.of_files(files)}
        self._ledger.write(lambda connection: self._compare(connection, present)).result()

    def _compare(self, connection: Connection, present: Mapping[str, State]) -> None:
        """Lines and what they say, in one transaction."""
        known = known_state.load(connection)
        self._log.append(connection, *known_state.notes(known, present))
        changed = {subject: state for subject, state in present.items() if known.get(subject) != state}
        known_state.save(connection, changed, set(known) - set(present))


def _files(configuration: GatewayConfiguration) -> dict[str, Path]:
    """Files that are replaced while the gateway runs, beside registry and roster, which are told by what they say."""
    items, evidence = configuration.visits.items, configuration.evidence
    named = {known_state.ITEMS: items, known_state.REVOCATIONS: evidence.revocations if evidence else None}
    return {name: path for name, path in named.items() if path is not None}
