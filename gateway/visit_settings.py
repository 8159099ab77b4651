"""Sections [visits] and [webhook] of gateway.toml: the windows' business system."""

from dataclasses import dataclass
from pathlib import Path

from gateway import matter
from gateway.section import ConfigurationError, Section

KEYS = {
    "visits": {"items", "rate_parts_of"},
    "webhook": {"url", "ca", "secret_file"},
}


@dataclass(frozen=True)
class WebhookSettings:
    """Where the outcomes of visits are told."""

    url: str  # https
    ca: Path | None  # None: the machine's own trust store
    secret_file: Path


@dataclass(frozen=True)
class VisitSettings:
    """What differs from hall to hall in visits. items: the item library, which may appear later; None: no check."""

    items: Path | None = None
    rate_parts_of: tuple[str, ...] = ()  # kinds of visits whose parts are rated one by one
    webhook: WebhookSettings | None = None  # None: outcomes are only told to who asks


def read(visits: Section, webhook: Section, tells: bool) -> VisitSettings:
    """The settings. tells: True where there is a section [webhook]. Raises ConfigurationError."""
    return VisitSettings(
        items=visits.path("items") if visits.has("items") else None,
        rate_parts_of=visits.choices("rate_parts_of", matter.WITH_PARTS),
        webhook=_webhook(webhook) if tells else None,
    )


def _webhook(section: Section) -> WebhookSettings:
    url = section.text("url")
    if not url.startswith("https://"):
        raise ConfigurationError("[webhook] url: must begin with https://; outcomes leave the gateway encrypted only")
    return WebhookSettings(url, section.optional_file("ca"), section.file("secret_file"))
