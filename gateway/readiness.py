"""Would a start succeed? What the technician asks before the gateway runs; nothing is changed and nothing started."""

from gateway import evidence_keys, keys, tokens, webhook
from gateway.configuration import GatewayConfiguration
from gateway.item_library import ItemFile
from gateway.mqtt_link import tls_context
from gateway.registry import Registry, RosterFile
from gateway.section import ConfigurationError
from protocol.suite_host import HostSuite


def check(configuration: GatewayConfiguration) -> list[str]:
    """What a start would need, checked without starting: lines for the technician.

    Raises ConfigurationError or RegistryError for the first thing that would stop the gateway.
    """
    keys.load(configuration.keys, HostSuite())
    devices = Registry(configuration.registry, configuration.hall).devices()
    roster = RosterFile(configuration.roster).current()
    try:
        tls_context(configuration.mqtt)
    except OSError as error:
        raise ConfigurationError(f"[mqtt] ca, cert or key: no usable certificate or key ({error})") from None
    tokens.of_api(configuration)
    keys.sensor_password(configuration.devices.sensor_password_file)
    if configuration.central is not None:
        tokens.read("central", "token_file", configuration.central.token_file)
    items = ItemFile(configuration.visits.items).current()
    told = configuration.visits.webhook
    if told is not None:
        webhook.read_secret(told.secret_file)
    if configuration.evidence is not None:
        own = evidence_keys.load(configuration.evidence, HostSuite())
        evidence_keys.RegisterBook(own, configuration.evidence.revocations, lambda: devices).current()
    uncertified = sum(device.certificate is None for device in devices.values())
    folder = configuration.store.ledger.parent
    if not folder.is_dir():
        raise ConfigurationError(f"[store] ledger: there is no folder {folder}; make it, closed to others")
    active = sum(device.status == "active" for device in devices.values())
    return [
        f"hall {configuration.hall}: {len(devices)} devices, {active} of them active; {len(roster.rows)} staff",
        f"broker {configuration.mqtt.host}:{configuration.mqtt.port}, certificate for {configuration.mqtt.server_name}",
        "central system " + (configuration.central.url if configuration.central else "none: nothing is forwarded"),
        "item library " + ("none: item codes are not checked" if items is None else f"with {len(items)} items"),
        "business system " + (f"is told the outcomes at {told.url}" if told else "is not told, it has to ask"),
        f"ledger {configuration.store.ledger}",
        _evidence_line(configuration.evidence is not None, uncertified),
    ]


def _evidence_line(signed: bool, uncertified: int) -> str:
    if not signed:
        return "evidence: no key for manifests ([evidence] is missing): nothing can be exported for an audit"
    return f"evidence: manifests are signed; {uncertified or 'no'} devices without a certificate of their key"
