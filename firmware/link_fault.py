"""Why there is no link, in one word that names a text of the display (see texts.py).

The exceptions are those of MicroPython over mbedTLS, as measured on the VM; tests/test_firmware_link_fault.py holds
each. Wordings differ from version to version, so only the parts that matter are looked for.
"""

import asyncio

from firmware.mqtt import MqttError

# In the order of what to mend first: a server of somebody else may have any name and date. What is refused for another
# reason (usage, hash, revoked) cannot be trusted either.
_CERTIFICATE = (
    ("signed by", "untrusted"),
    ("issuer", "untrusted"),
    ("name", "name"),  # "Common Name (CN) does not match"
    ("expired", "expired"),
    ("future", "early"),
    ("not yet valid", "early"),
)
_MQTT = (("silent", "silent"), ("closed", "hung_up"))
# mbedtls/x509.h: errors of a certificate that cannot be read, plus those of ASN.1 (below 0x80) inside it.
_X509_FIRST, _X509_LAST = -0x307F, -0x2080
# mbedtls/ssl.h: everything that ends a handshake; and the peer's alert.
_TLS_FIRST, _TLS_LAST = -0x7FFF, -0x6000
# EPIPE, ECONNRESET. Whoever refuses a certificate closes at once: its alert may come, or be overtaken by the reset.
_ENDED = (32, 104)
# From ENETDOWN to EHOSTUNREACH, in the numbers of Linux (100 to 113) and of newlib on an ESP32 (103 to 118).
_UNREACHABLE_FIRST, _UNREACHABLE_LAST = 100, 118


def _find(rows, text, otherwise):
    for part, word in rows:
        if part in text:
            return word
    return otherwise


def word(error, was_online, met_server):
    """Name of the text that tells a technician what ended the link, or "other" and a number or name behind a blank.

    error: one of uplink.LINK_ERRORS. was_online: True when the link had stood. met_server: True when the server has
    shown its certificate in this attempt: whatever ends the handshake after that is about ours.
    """
    if isinstance(error, asyncio.TimeoutError):
        return "silent"
    if isinstance(error, MqttError):
        return _find(_MQTT, str(error), "login")
    if was_online or isinstance(error, EOFError):
        return "hung_up"
    if isinstance(error, ValueError):
        return _find(_CERTIFICATE, str(error).lower(), "untrusted")
    return _of_code(error.args[0] if error.args else 0, met_server)


def _of_code(code, met_server):
    """Of an OSError, whose first argument is a number, or a text of a board or of the VM."""
    if not isinstance(code, int):
        return "wifi" if code == "no wifi" else "host" if "addrinfo" in str(code) else "other"
    if code in _ENDED or _TLS_FIRST <= code <= _TLS_LAST:
        return "own" if met_server else "tls"
    if _X509_FIRST <= code <= _X509_LAST:
        return "untrusted"
    if _UNREACHABLE_FIRST <= code <= _UNREACHABLE_LAST:
        return "server"
    # lwIP and libc count errors of a name look-up below zero (EAI_FAIL is -202 on an ESP32).
    return "host" if -256 < code < 0 else "other %d" % code
