"""The tokens of the gateway: one line of a file each, never in the configuration itself."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.configuration import GatewayConfiguration
from gateway.section import ConfigurationError

# 16 characters of the alphabet that `hallseal-provision` uses are 96 bits.
TOKEN_CHARACTERS_MIN = 16


@dataclass(frozen=True)
class ApiTokens:
    """Who may ask what of the API; where a token is None, nobody may."""

    business: str | None = field(default=None, repr=False)  # visits
    audit: str | None = field(default=None, repr=False)  # counts of the stores, operator log
    technician: str | None = field(default=None, repr=False)  # orders to devices, quarantine
    supervisor: str | None = field(default=None, repr=False)  # marks of ratings


def of_api(configuration: GatewayConfiguration) -> ApiTokens:
    """The tokens of the files that are configured, no two the same. Raises ConfigurationError."""
    business = read("api", "business_token_file", configuration.business_token_file)
    audit = read("api", "audit_token_file", configuration.audit_token_file)
    technician = read("api", "technician_token_file", configuration.technician_token_file)
    if business is not None and business == audit:
        raise _same("audit_token_file", "the business system")
    supervisor = read("api", "supervisor_token_file", configuration.supervisor_token_file)
    if technician is not None and technician in (business, audit):
        raise _same("technician_token_file", "the business system" if technician == business else "the audit")
    others = {business: "the business system", audit: "the audit", technician: "the technician"}
    if supervisor is not None and supervisor in others:
        raise _same("supervisor_token_file", others[supervisor])
    return ApiTokens(business, audit, technician, supervisor)


def _same(key: str, other: str) -> ConfigurationError:
    return ConfigurationError(f"[api] {key}: holds the token of {other}; make another one")


def read(section: str, key: str, path: Path | None) -> str | None:
    """The token in a file; None where none is configured. Raises ConfigurationError."""
    if path is None:
        return None
    try:
        token = path.read_bytes().decode("utf-8", "replace").strip()
    except OSError as error:
        raise ConfigurationError(
            f"[{section}] {key}: {path} cannot be read ({error.strerror}); make it readable for the gateway's user"
        ) from None
    if len(token) < TOKEN_CHARACTERS_MIN or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            f"[{section}] {key}: {path} must hold one line of at least {TOKEN_CHARACTERS_MIN} plain characters"
        )
    return token
