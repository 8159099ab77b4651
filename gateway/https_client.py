"""Connections out of the hall: encrypted, certificates checked, and no setting of the machine in between."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx

# Connecting inside a city takes milliseconds; a page with 500 signature checks takes 0.3 s at the central system.
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 15.0


def connect(url: str, headers: Mapping[str, str], ca: Path | None) -> httpx.Client:
    """A client for `url` (https://…). ca: PEM file of its root; None: the machine's trust. Raises ValueError."""
    if not url.startswith("https://"):
        raise ValueError("nothing leaves the hall but encrypted: the address must begin with https://")
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.Client(
        base_url=url,
        headers=dict(headers),
        verify=context,
        timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        # One thread, one connection; proxies named in the environment are not for a hall's records.
        limits=httpx.Limits(max_connections=1),
        trust_env=False,
        follow_redirects=False,
    )
