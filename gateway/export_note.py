"""An export of evidence is told to the operator log: by the running gateway, or where none runs by the command itself.

Whoever exports reads the ledger's file, which a running gateway holds open: only that one may write to it.
"""

from gateway.configuration import GatewayConfiguration
from gateway.ledger import Ledger
from gateway.operator_log import EXPORT, Head, OperatorLog
from gateway.running_gateway import RunningGateway, UnreachableError


def tell(configuration: GatewayConfiguration, digest: bytes, records: int) -> Head:
    """Add the line; the head afterwards. digest: SHA-256 of the exported file.

    Raises LedgerError or ConfigurationError, when neither way is open; their words say what to do.
    """
    details: dict[str, object] = {"digest": digest.hex(), "records": records}
    try:
        with RunningGateway(configuration, "audit") as gateway:
            told = gateway.post("/api/v1/operator-log/exports", details)
    except UnreachableError:
        return _alone(configuration, details)
    return Head(told["number"], bytes.fromhex(told["hash"]))


def _alone(configuration: GatewayConfiguration, details: dict[str, object]) -> Head:
    """The ledger's lock tells whether a gateway runs after all."""
    ledger = Ledger(configuration.store.ledger)
    try:
        return OperatorLog(ledger, configuration.clock).note("audit", EXPORT, "", **details)
    finally:
        ledger.close()
