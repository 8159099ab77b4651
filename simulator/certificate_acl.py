"""Who may connect to the hall's broker, and what they may publish, subscribe and receive there.

A client is the common name of its certificate, and that name is its client id. A device publishes to its own /up and
hears its own /down; the gateway hears every /up of its hall and publishes to any /down. Nobody may do anything else.
The rules are pure functions; CertificateAcl is the plug-in that puts them into amqtt.
"""

import ssl
from dataclasses import dataclass

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from protocol import topic as topics
from protocol.refusal import Refused

GATEWAY = "gateway"


def common_name(connection: ssl.SSLObject | None) -> str | None:
    """The one common name in the certificate that the client showed, or None: no TLS, no certificate, several names."""
    certificate = connection.getpeercert() if connection else None
    subject = certificate.get("subject", ()) if certificate else ()
    names = [str(pair[1]) for group in subject for pair in group if pair[0] == "commonName"]
    return names[0] if len(names) == 1 else None


def may_connect(connection: ssl.SSLObject | None, client: str | None) -> bool:
    """True when the certificate's name is a proper name and the client id."""
    name = common_name(connection)
    return name is not None and topics.is_name(name) and name == client


def may_publish(hall: str, client: str, to: str) -> bool:
    """to: topic of a message that `client` sends."""
    way = _way(hall, to)
    return way is not None and (way[1] == topics.DOWN if client == GATEWAY else way == (client, topics.UP))


def may_receive(hall: str, client: str, about: str) -> bool:
    """about: topic of a message that is on its way to `client`."""
    way = _way(hall, about)
    return way is not None and (way[1] == topics.UP if client == GATEWAY else way == (client, topics.DOWN))


def may_subscribe(hall: str, client: str, wanted: str) -> bool:
    """wanted: topic filter. Exactly one filter is right for each client, so a wildcard of anybody else never is."""
    if not topics.is_name(client):
        return False
    return wanted == (topics.all_up(hall) if client == GATEWAY else topics.down(hall, client))


def _way(hall: str, name: str) -> tuple[str, str] | None:
    """(device, direction) of a topic in this hall; None for any other topic. The gateway is no device."""
    try:
        where, device, direction = topics.parse(name)
    except Refused:
        return None
    return (device, direction) if where == hall and device != GATEWAY else None


class CertificateAcl(BaseAuthPlugin, BaseTopicPlugin):
    """amqtt's plug-in of these rules. Nobody is anonymous; user names and passwords mean nothing."""

    @dataclass
    class Config:
        """hall: the name in every topic."""

        hall: str

    async def authenticate(self, *, session: Session) -> bool:
        """amqtt leaves the client's certificate optional; here nobody gets in without one."""
        return may_connect(session.ssl_object, session.client_id)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """False for whatever is not expressly allowed."""
        client = session.client_id if session else None
        if client is None or topic is None or action is None:
            return False
        rules = {Action.PUBLISH: may_publish, Action.SUBSCRIBE: may_subscribe, Action.RECEIVE: may_receive}
        return action in rules and rules[action](self.config.hall, client, topic)
