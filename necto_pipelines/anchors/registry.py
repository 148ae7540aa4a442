"""Which anchors are set up: what each setting opens. Nothing is called yet."""

from collections import Counter

from cryptography.hazmat.primitives.serialization import Encoding

from necto_pipelines.anchors.copies import CopyAnchor
from necto_pipelines.anchors.port import Anchor
from necto_pipelines.anchors.posting import Poster, host_of
from necto_pipelines.anchors.timestamping import TimestampAnchor, read_roots
from necto_pipelines.anchors.webhook import WebhookAnchor
from necto_pipelines.audit.policy import TimeAuthority
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.clock import Clock
from necto_pipelines.settings import Settings, variable


def open_anchors(settings: Settings, clock: Clock) -> list[Anchor]:
    """Copies, webhooks and the time-stamping authority, as far as they are set. InvalidInput names what cannot be."""
    return [
        *(CopyAnchor(url) for url in dict.fromkeys(settings.anchor_copies)),
        *_webhooks(settings, clock),
        *_timestamps(settings, clock),
    ]


def time_authorities(settings: Settings) -> list[TimeAuthority]:
    """Whom an exported policy names for timestamps: the authority, as the books name its place, and its roots."""
    if settings.timestamp_url is None or settings.timestamp_roots is None:
        return []
    roots = read_roots(settings.timestamp_roots, variable("timestamp_roots"))
    pem = "".join(root.public_bytes(Encoding.PEM).decode() for root in roots)
    return [TimeAuthority(host_of(settings.timestamp_url, variable("timestamp_url")), pem)]


def _webhooks(settings: Settings, clock: Clock) -> list[Anchor]:
    """Named by host; further ones of a host are counted, because the rest of an address may be a secret."""
    seen: Counter[str] = Counter()
    anchors: list[Anchor] = []
    for url in settings.anchor_webhooks:
        poster = Poster(url, variable("anchor_webhooks"), clock=clock, timeout_s=settings.request_timeout_s)
        seen[poster.host] += 1
        number = seen[poster.host]
        anchors.append(WebhookAnchor(poster, poster.host if number == 1 else f"{poster.host}#{number}"))
    return anchors


def _timestamps(settings: Settings, clock: Clock) -> list[Anchor]:
    if settings.timestamp_url is None:
        return []
    roots = variable("timestamp_roots")
    if settings.timestamp_roots is None:
        allowed = f"with {variable('timestamp_url')} a PEM file of the authority's root is needed"
        raise InvalidInput([Problem(roots, None, allowed)])
    url = variable("timestamp_url")
    poster = Poster(settings.timestamp_url, url, clock=clock, timeout_s=settings.request_timeout_s)
    return [TimestampAnchor(poster, read_roots(settings.timestamp_roots, roots))]
