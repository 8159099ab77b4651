"""Who may do what at the embedded broker: the name in the client's certificate decides, and nothing else.

A device may publish to its own `up` and hear its own `down`; the gateway may hear every `up` and publish to every
`down`.
"""

import ssl
from contextvars import ContextVar

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from protocol import topic
from protocol.refusal import Refused

GATEWAY = "gateway"
# The certificate's name of the connection that this task serves. A session of amqtt outlives its connection and keeps
# the TLS
# object of the first one, so the session cannot be asked.
peer_name: ContextVar[str] = ContextVar("peer_name", default="")


def common_name(connection: ssl.SSLObject | None) -> str:
    """CN of the verified client certificate, or "" where there is none."""
    certificate = connection.getpeercert() if connection else None
    for group in (certificate or {}).get("subject", ()):
        for key, value in group:
            if key == "commonName":
                return str(value)
    return ""


def allowed(name: str, action: Action, wanted: str) -> bool:
    """True when `name` may subscribe to, publish to or receive on `wanted`, a topic or the gateway's one filter."""
    gateway = name == GATEWAY
    if gateway and action is Action.SUBSCRIBE:
        parts = wanted.split("/")
        return len(parts) == 5 and topic.is_name(parts[2]) and wanted == topic.all_up(parts[2])
    try:
        _, device, direction = topic.parse(wanted)
    except Refused:
        return False
    sends = action is Action.PUBLISH
    if gateway:
        return direction == (topic.DOWN if sends else topic.UP)
    return device == name and direction == (topic.UP if sends else topic.DOWN)


class CertificateName(BaseAuthPlugin):
    """Refuses a connection without a client certificate, or whose name is not its client id."""

    async def authenticate(self, *, session: Session) -> bool:
        name = peer_name.get()
        return bool(name) and name == session.client_id


class OwnTopics(BaseTopicPlugin):
    """Refuses what `allowed` does not allow. A session has its client id only after CertificateName agreed to it."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        return bool(session and session.client_id and topic and action) and allowed(
            str(session.client_id),  # type: ignore[union-attr]
            action,  # type: ignore[arg-type]
            topic,  # type: ignore[arg-type]
        )
