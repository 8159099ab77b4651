"""The tokens of the gateway: one line of a file each, never in the configuration itself."""

from pathlib import Path

from gateway.configuration import ConfigurationError, GatewayConfiguration

# 16 characters of the alphabet that `hallseal-provision` uses are 96 bits.
TOKEN_CHARACTERS_MIN = 16


def of_api(configuration: GatewayConfiguration) -> tuple[str | None, str | None]:
    """(of the business system, of the audit). Raises ConfigurationError."""
    business = read("api", "business_token_file", configuration.business_token_file)
    audit = read("api", "audit_token_file", configuration.audit_token_file)
    if business is not None and business == audit:
        raise ConfigurationError("[api] audit_token_file: holds the token of the business system; make another one")
    return business, audit


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
