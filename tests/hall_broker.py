"""Brokers for one provisioned hall, as processes: TLS with client certificates, ACL by name, nothing kept on disk."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from simulator.processes import Ports

REPOSITORY = Path(__file__).resolve().parent.parent

_CONF = """\
listener {port} 127.0.0.1
cafile {hall}/broker/clients.pem
certfile {hall}/broker/server.pem
keyfile {hall}/broker/server.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
persistence false
max_queued_messages 10000
acl_file {folder}/acl
"""
_ACL = """\
user gateway
topic read hallseal/1/{name}/+/up
topic write hallseal/1/{name}/+/down

pattern write hallseal/1/{name}/%u/up
pattern read hallseal/1/{name}/%u/down
"""


# Ports given to tests, held while this process lives: neither another worker nor an outgoing connection gets them.
_ports = []


def free_port():
    """A port for a process that listens on loopback; nobody else gets it."""
    _ports.append(Ports(1))
    return _ports[-1].numbers[0]


class Broker:
    """A broker process on `port`; `kill` and `start` give one that has forgotten everything. log: its output."""

    def __init__(self, command, port, log):
        self.port = port
        self._command, self._log = command, log
        self.start()

    def start(self):
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=REPOSITORY)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the broker does not start: " + self._log.read_text()[-500:])

    def kill(self):
        """SIGKILL: it forgets everything."""
        self.process.kill()
        self.process.wait()


class Mosquitto(Broker):
    """command: path of mosquitto. hall: folder of a provisioned hall. folder: where its own files go.

    port: 0 for any that is free.
    """

    def __init__(self, command, hall, folder, name="yongxing", port=0):
        port = port or free_port()
        folder.mkdir()
        # mosquitto started by root drops to its own user, who may not read a hall's folder.
        user = "user root\n" if os.geteuid() == 0 else ""
        (folder / "acl").write_text(_ACL.format(name=name))
        (folder / "mosquitto.conf").write_text(user + _CONF.format(port=port, hall=hall, folder=folder))
        super().__init__([command, "-c", str(folder / "mosquitto.conf")], port, folder / "log")


_EMBEDDED = """\
import asyncio, pathlib, sys
from simulator.broker import serve
asyncio.run(serve(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
"""


class EmbeddedBroker(Broker):
    """The simulator's own broker. hall: folder of a provisioned hall. folder: where its log goes."""

    def __init__(self, hall, folder):
        folder.mkdir()
        port = free_port()
        super().__init__([sys.executable, "-c", _EMBEDDED, str(hall), str(port)], port, folder / "log")


class PlainMosquitto(Broker):
    """Without TLS, so that a test can break the bytes of MQTT itself. anonymous: False refuses every login."""

    def __init__(self, command, folder, anonymous=True):
        folder.mkdir()
        port = free_port()
        (folder / "passwords").write_text("")
        text = (
            f"listener {port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\npassword_file {folder}/passwords\n"
        )
        user = "user root\n" if os.geteuid() == 0 else ""
        (folder / "mosquitto.conf").write_text(user + text + "persistence false\nmax_queued_messages 10000\n")
        super().__init__([command, "-c", str(folder / "mosquitto.conf")], port, folder / "log")


_PLAIN = """\
import asyncio, sys
from amqtt.broker import Broker

async def serve(port, anonymous):
    config = {"listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:%d" % port}}}
    config["plugins"] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": anonymous}}
    await Broker(config).start()
    await asyncio.Event().wait()

asyncio.run(serve(int(sys.argv[1]), sys.argv[2] == "True"))
"""


class PlainAmqtt(Broker):
    """amqtt as it comes, without what simulator/broker.py mends. anonymous: as in PlainMosquitto."""

    def __init__(self, folder, anonymous=True):
        folder.mkdir()
        port = free_port()
        super().__init__([sys.executable, "-c", _PLAIN, str(port), str(anonymous)], port, folder / "log")
