"""The signature that Dispersed asks for on every request. Pure: text and bytes in, text and bytes out.

    hex(HMAC-SHA256(secret key, public key|time|nonce|METHOD|/path|query|hex(SHA-256(body))))

Time counts milliseconds since 1970. The query is sorted by key, then by value, and percent-encoded after RFC 3986; the
body is JSON with keys sorted at every depth and no spaces; no body hashes as no bytes. Source: the network's API
documentation (otoyinc.mintlify.app, 2026) and clients that follow it.

Clients differ on two points: whether text beyond ASCII is escaped in bodies, and whether a space in a query is `%20` or
`+`. Here bodies hold ASCII only, and spaces are `%20`. Putting the signature onto a request belongs to `auth.py`.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from urllib.parse import quote

from necto_pipelines.failures import InvalidInput, Problem


def canonical_json(value: object, *, path: str = "body") -> bytes:
    """The one form in which a body is signed and sent.

    `InvalidInput` naming the place of anything that two JSON writers may write in two ways: text beyond ASCII, and
    numbers that are not whole.
    """
    _check(value, path)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query as it is signed and sent, without the question mark.

    >>> canonical_query([("limit", "50"), ("filter[gpu_name]", "NVIDIA RTX 4090")])
    'filter%5Bgpu_name%5D=NVIDIA%20RTX%204090&limit=50'
    """
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(pairs))


def text_to_sign(*, public_key: str, time_ms: int, nonce: str, method: str, path: str, query: str, body: bytes) -> str:
    """The seven parts in their order; `query` and `body` in their canonical form."""
    digest = hashlib.sha256(body).hexdigest()
    return "|".join((public_key, str(time_ms), nonce, method.upper(), path, query, digest))


def signature(secret_key: str, text: str) -> str:
    """HMAC-SHA256 of `text` under the secret key, in lower-case hex."""
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _check(value: object, path: str) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name, f"{path} key")
            _check(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check(inner, f"{path}[{number}]")
    elif isinstance(value, str):
        if not value.isascii():
            raise InvalidInput([Problem(path, value, "Dispersed's signature is certain for ASCII text only")])
    elif value is not None and not isinstance(value, bool | int):
        raise InvalidInput([Problem(path, value, "write a whole number, text, true, false or null")])
