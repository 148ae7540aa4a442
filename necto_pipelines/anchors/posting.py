"""POST to one address that may hold a secret: only its host is ever named, in failures, logs and the books alike."""

import logging
import re
from typing import Final

import httpx
from pydantic import SecretStr

from necto_pipelines.failures import InvalidInput, Problem, Refused, Unavailable
from necto_pipelines.fetching import Fetcher
from necto_pipelines.fetching.budget import NeverSent
from necto_pipelines.model.clock import Clock

MAX_ANSWER_BYTES: Final = 256 * 1024
_STATUS: Final = re.compile(r"HTTP [0-9]{3}\b")


class Poster:
    """Sends bytes that may be sent twice. `variable` names the setting that the address comes from."""

    def __init__(
        self,
        url: SecretStr,
        variable: str,
        *,
        clock: Clock,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = _address(url, variable)
        self.host = address.netloc.decode()
        self._path = address.raw_path.decode()
        _in_no_log.add(self._path)
        self._fetcher = Fetcher(
            str(address.copy_with(raw_path=b"/", fragment=None)),
            clock=clock,
            timeout_s=timeout_s,
            max_body_bytes=MAX_ANSWER_BYTES,
            transport=transport,
        )

    def post(self, content: bytes, content_type: str) -> bytes:
        """The body of a 2xx answer. Raises `Refused` or `Unavailable`, without the address or what was answered."""
        try:
            return self._fetcher.post_again(self._path, content, content_type).body
        except Refused as refusal:
            raise Refused(f"{self.host}: answered {_status(refusal)}") from None  # the cause names the address
        except NeverSent:
            raise Unavailable(f"{self.host}: could not connect") from None
        except Unavailable as failure:
            raise Unavailable(f"{self.host}: {_status(failure)}") from None


class _Discreet(logging.Filter):
    """Drops what httpx logs of requests to these paths: it logs whole addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        if path != "/":
            self._paths.add(path)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(path in message for path in self._paths)


_in_no_log: Final = _Discreet()
logging.getLogger("httpx").addFilter(_in_no_log)


def host_of(url: SecretStr, variable: str) -> str:
    """The host, and a port that is not the usual one: as much of an address as may be named."""
    return _address(url, variable).netloc.decode()


def _address(url: SecretStr, variable: str) -> httpx.URL:
    try:
        address = httpx.URL(url.get_secret_value())
    except (httpx.InvalidURL, ValueError):
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise InvalidInput([Problem(variable, "(not shown: it may hold a secret)", "an http or https address")])
    return address


def _status(failure: Exception) -> str:
    found = _STATUS.search(str(failure))
    return found[0] if found else "no usable answer"
