"""gateway.toml: what the gateway of a new hall is told. Paths in it are relative to its own folder."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from provisioning import holders

CLIENT_NAME = "gateway"
RELEASES_FOLDER = "releases"


class SettingsError(Exception):
    """The file cannot be used. str() is one line for the technician."""


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a hall find each other. server_name: the name that the broker's certificate must carry."""

    broker_host: str = "127.0.0.1"
    broker_port: int = 8883
    server_name: str = "127.0.0.1"
    central_url: str = "https://127.0.0.1:8444"
    page_host: str = "127.0.0.1"
    page_port: int = 8443


def to_text(hall: str, addresses: Addresses) -> str:
    """gateway.toml of a new hall."""
    sections: dict[str, dict[str, str | int]] = {
        "hall": {"name": hall},
        "mqtt": {
            "host": addresses.broker_host,
            "port": addresses.broker_port,
            "server_name": addresses.server_name,
            "ca": "root.pem",
            "cert": "tls.pem",
            "key": "tls.key",
            "client_id": CLIENT_NAME,
        },
        "keys": {"agreement": "agreement.key", "command": "command.key", "central_public": "central.pub"},
        "evidence": {"key": "evidence.key", "certificates": "evidence.pem", "revocations": "evidence.crl"},
        "registry": {"path": "registry.json", "roster": "roster.json"},
        "releases": {"folder": RELEASES_FOLDER, "keys": holders.PUBLICS_NAME},
        "store": {"ledger": "ledger.db", "timeseries": "timeseries.duckdb"},
        "central": {"url": addresses.central_url, "ca": "root.pem", "token_file": "central.token"},
        "page": {
            "host": addresses.page_host,
            "port": addresses.page_port,
            "cert": "https.pem",
            "key": "https.key",
        },
        "api": {
            "business_token_file": "business.token",
            "audit_token_file": "audit.token",
            "technician_token_file": "technician.token",
            "supervisor_token_file": "supervisor.token",
        },
        "visits": {"items": "items.csv"},  # comes with `hallseal-gateway items import`; until then nothing is checked
    }
    return "\n".join(_section(name, values) for name, values in sections.items())


def _section(name: str, values: Mapping[str, str | int]) -> str:
    # JSON's strings and whole numbers are TOML's too.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def broker_of(text: str) -> tuple[str, int, str]:
    """(host, port, server name) of the broker in gateway.toml. Raises SettingsError."""
    try:
        mqtt = tomllib.loads(text)["mqtt"]
        return str(mqtt["host"]), int(mqtt["port"]), str(mqtt["server_name"])
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"gateway.toml: section [mqtt] is missing or damaged ({error})") from None
