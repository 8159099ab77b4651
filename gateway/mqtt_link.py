"""The gateway's one connection to the hall's broker: MQTT 3.1.1 over TLS with a client certificate, QoS 1.

The session is persistent, so that a restarted gateway gets what the broker kept; nothing relies on it, for devices send
again what has no receipt. A message is acknowledged to the broker when the intake has it: a full intake blocks
`arrive`, and the broker holds the rest.
"""

import ssl
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.configuration import MqttSettings
from gateway.logs import Log
from gateway.metrics import Metrics
from protocol import topic

# Seconds without a packet before either side sends a ping; 1.5 times that and the link counts as dead.
KEEPALIVE_S = 30
# Waits between two tries to connect: doubles from the first to the last.
RECONNECT_MIN_S, RECONNECT_MAX_S = 1, 30
# Messages down that may wait for the link; more are dropped, for devices ask again.
QUEUED_MAX = 4096
# Messages down that may await the broker's PUBACK.
INFLIGHT_MAX = 200
CONNECT_TIMEOUT_S = 5.0

_log = Log("mqtt")


class _NamedContext(ssl.SSLContext):
    """Checks the broker's certificate for a given name, for the address may be an IP."""

    server_name = ""

    def wrap_socket(self, *positional: Any, **named: Any) -> ssl.SSLSocket:
        named["server_hostname"] = self.server_name
        return super().wrap_socket(*positional, **named)


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Trusts the hall's root alone, and shows the gateway's certificate. Raises OSError or ssl.SSLError."""
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = settings.server_name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(settings.ca)
    context.load_cert_chain(settings.certificate, settings.key)
    return context


class MqttLink:
    """arrive: called with (topic, message, retained) in the link's thread; True when taken, may block to push back."""

    def __init__(
        self, settings: MqttSettings, hall: str, arrive: Callable[[str, bytes, bool], bool], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._subscription = topic.all_up(hall)
        self._arrive = arrive
        self._metrics = metrics
        self._connected = threading.Event()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        client.tls_set_context(tls_context(settings))
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.suppress_exceptions = True  # whatever a callback meets, the link's thread must live
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.max_queued_messages_set(QUEUED_MAX)
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect in the background, and again whenever the link breaks."""
        self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; afterwards nothing arrives any more. Blocks until the thread has ended."""
        self._client.disconnect()
        self._client.loop_stop()
        self._connected.clear()

    @property
    def connected(self) -> bool:
        """True while the broker delivers."""
        return self._connected.is_set()

    def publish(self, to_topic: str, message: bytes) -> bool:
        """Hand a message down; False when the link is broken or its queue full. Never blocks."""
        if not self._client.is_connected():
            return False
        return self._client.publish(to_topic, message, qos=1).rc == mqtt.MQTT_ERR_SUCCESS

    def _on_connect(self, client: mqtt.Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker refused the connection", reason=str(reason))
            self._metrics.count("mqtt_refused")
            return
        client.subscribe(self._subscription, qos=1)

    def _on_subscribe(self, _client: Any, _user: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("broker refused the subscription")
            return
        self._connected.set()
        self._metrics.count("mqtt_connected")
        _log.info("broker connected", host=self._settings.host, port=self._settings.port)

    def _on_disconnect(self, _client: Any, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._connected.is_set():
            _log.warning("broker disconnected", reason=str(reason))
        self._connected.clear()

    def _on_message(self, client: mqtt.Client, _user: Any, message: mqtt.MQTTMessage) -> None:
        try:
            name = message.topic
        except UnicodeDecodeError:  # MQTT forbids it; a broker may let it pass
            name = "not utf-8"
        if self._arrive(name, bytes(message.payload), message.retain):
            client.ack(message.mid, message.qos)
