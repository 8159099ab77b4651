"""How a command on the gateway's machine speaks with the gateway that runs there: over its own API, with a token file.

The ledger has one writer, the running gateway. So a command that changes something asks it.
"""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import tokens
from gateway.configuration import GatewayConfiguration, PageSettings
from gateway.section import ConfigurationError

# A re-admission waits for one commit; a disk that is busy may take seconds.
ANSWER_TIMEOUT_S = 30.0


class UnreachableError(OSError):
    """The gateway does not answer, or not as asked. str() says what to do."""


class RunningGateway:
    """A context manager. role: whose token is used, "technician" or "audit"."""

    def __init__(self, configuration: GatewayConfiguration, role: str) -> None:
        """Raises ConfigurationError where the role has no token, or the page no fixed port."""
        key = role + "_token_file"
        token = tokens.read("api", key, getattr(configuration, key))
        if token is None:
            raise ConfigurationError(
                f"[api] {key}: is missing; make a token, name its file and start the gateway again"
            )
        if configuration.page.port == 0:
            raise ConfigurationError("[page] port: is 0, so that nobody knows where the gateway listens; give a number")
        self._url = url_of(configuration.page)
        headers = {"Authorization": "Bearer " + token}
        context = _trust(configuration.page)
        self._client = httpx.Client(
            base_url=self._url, headers=headers, verify=context, timeout=ANSWER_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> "RunningGateway":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def post(self, path: str, content: Mapping[str, object]) -> Mapping[str, Any]:
        """The answer to a POST. Raises UnreachableError."""
        try:
            answer = self._client.post(path, json=dict(content))
        except httpx.ConnectError as error:
            raise UnreachableError(f"{self._url}: {_missing(error)}") from None
        except httpx.HTTPError as error:
            raise UnreachableError(f"{self._url}: no answer ({type(error).__name__}); do this again") from None
        if answer.status_code == 401:
            raise UnreachableError(f"{self._url}: the gateway was started with another token; start it again")
        found = _json(answer)
        if answer.is_success:
            return found
        raise UnreachableError(f"{self._url}: answers {answer.status_code} ({found.get('error', 'no reason')})")


def _missing(error: httpx.ConnectError) -> str:
    if "CERTIFICATE" in str(error).upper():
        return "what answers there has another certificate than [page] cert; start the gateway again"
    return "the gateway does not answer; start it, then do this again"


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def url_of(page: PageSettings) -> str:
    """Where the page is reached from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(page.host, page.host)  # all addresses: the nearest
    host = f"[{host}]" if ":" in host else host
    return f"http{'s' if page.certificate else ''}://{host}:{page.port}"


def _trust(page: PageSettings) -> ssl.SSLContext:
    """The page's own certificate and no other, whoever signed it: both sides read the same file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate itself is what is compared
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if page.certificate is not None:
        first = x509.load_pem_x509_certificates(page.certificate.read_bytes())[0]
        context.load_verify_locations(cadata=first.public_bytes(Encoding.DER))
    return context
