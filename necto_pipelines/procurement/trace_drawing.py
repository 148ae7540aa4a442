"""The lineage of a bundle as an SVG: one box a hop, with its verdict in colour, sign and word.

Colours are CSS variables of the page it stands in (`trace_report.py`). Text is monospaced and cut to what fits, for
nobody can measure it here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final

from necto_pipelines.procurement.proof_records import FAILED, Bundle, BundleHop, Verdict
from necto_pipelines.procurement.trace_layout import Layout, Sizes, layout

SIZES: Final = Sizes(width=190, height=62, column_gap=46, row_gap=16)
MOST_BOXES: Final = 80
"""of a larger lineage, hops of one kind and verdict share a box; tables below the picture have each"""
_PADDING: Final = 12
_EM: Final = 0.62
"""width of a monospaced sign in ems: the widest of the usual fonts has 0.61"""
_CAPTIONS: Final = {
    "invoice": "total",
    "charge": "amount",
    "usage": "settled",
    "lease": "price per hour",
    "decision": "compliant",
    "bids": "acceptable",
    "effect": "state",
    "order": "state",
    "hold": "spent",
    "budget": "limit",
    "conversion": "from",
    "health": "health",
    "failover": "cause",
    "run": "leaves",
    "data": "sha256",
    "raw answer": "sha256",
}
_SIGNS: Final = {Verdict.PROVED: "✓", Verdict.PART: "·", Verdict.PENDING: "…"}
_SHORT_DIGEST: Final = 12


@dataclass
class _Box:
    """One or more hops of one kind and verdict."""

    id: str
    kind: str
    verdict: Verdict
    title: str
    caption: str
    hops: list[BundleHop]


def lineage_svg(bundle: Bundle) -> str:
    """The picture, without any script, image or address in it."""
    boxes, below = _boxes(bundle)
    placed = layout(below, SIZES)
    width, height = placed.width + 2, placed.height + 2
    failed = {box.id for box in boxes.values() if box.verdict in FAILED}
    parts = [
        f'<svg class="lineage" viewBox="-1 -1 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(_sentence(bundle))}">'
    ]
    parts += _edges(placed, failed)
    parts += [_drawn(box, *placed.places[box.id]) for box in boxes.values()]
    return "\n".join([*parts, "</svg>"])


def _sentence(bundle: Bundle) -> str:
    failed = f"{len(bundle.failed)} of them failed" if bundle.failed else "none of them failed"
    return f"Lineage of {bundle.root.kind} {bundle.root.key}: {len(bundle.hops)} hops, {failed}; listed in the table"


def _boxes(bundle: Bundle) -> tuple[dict[str, _Box], dict[str, list[str]]]:
    """Boxes by id, the first one first, and what each rests on. Parts of other hops have no box of their own."""
    hops = {hop.id: hop for hop in bundle.hops}
    alone = bundle.root.id
    drawn = [hop for hop in bundle.hops if hop.verdict is not Verdict.PART or hop.id == alone]
    above: dict[str, list[str]] = {}
    for hop in drawn:
        for end in _reached(hop, hops, alone):
            above.setdefault(end, []).append(hop.id)
    crowded = len(drawn) > MOST_BOXES
    boxes: dict[str, _Box] = {}
    box_of = {}
    for hop in drawn:
        key = hop.id
        if hop.verdict not in FAILED and hop.id != alone:
            if crowded:
                key = f"{hop.kind}:{hop.verdict}"
            elif not hop.rests_on:
                key = f"{hop.kind}:{hop.verdict}:{hop.title}:{above.get(hop.id)}"
        box = boxes.setdefault(key, _Box(key, hop.kind, hop.verdict, hop.title, _caption(hop), []))
        box.hops.append(hop)
        box_of[hop.id] = key
    for box in boxes.values():
        if len(box.hops) > 1:
            box.title = f"{len(box.hops)} × {box.title if not crowded else box.kind}"
            box.caption = ""
    below: dict[str, list[str]] = {key: [] for key in boxes}
    for hop in drawn:
        key = box_of[hop.id]
        ends = [box_of[end] for end in _reached(hop, hops, alone)]
        below[key] += [end for end in dict.fromkeys(ends) if end != key and end not in below[key]]
    return boxes, below


def _reached(hop: BundleHop, hops: dict[str, BundleHop], alone: str) -> Iterable[str]:
    for end in hop.rests_on:
        if hops[end].verdict is Verdict.PART and end != alone:
            yield from _reached(hops[end], hops, alone)
        else:
            yield end


def _caption(hop: BundleHop) -> str:
    name = _CAPTIONS.get(hop.kind, "")
    value = hop.facts.get(name, "")
    if name == "sha256":
        return value[:_SHORT_DIGEST] + "…"
    if hop.kind == "decision":
        return f"{value} of {hop.facts.get('offers looked at', '?')} fit" if value else ""
    if hop.kind == "bids":
        return f"{value} of {hop.facts.get('bids seen', '?')} acceptable" if value else ""
    return f"{value} leaves" if hop.kind == "run" and value else value


def _edges(placed: Layout, failed: set[str]) -> Iterable[str]:
    for (_, end), points in placed.edges.items():
        (x, y), *rest = points
        path = [f"M{x:.1f} {y:.1f}"]
        for nx, ny in rest:
            middle = (x + nx) / 2
            path.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {ny:.1f} {nx:.1f} {ny:.1f}")
            x, y = nx, ny
        yield f'<path class="edge{" bad" if end in failed else ""}" d="{" ".join(path)}"/>'


def _drawn(box: _Box, x: float, y: float) -> str:
    state = "bad" if box.verdict in FAILED else {Verdict.PROVED: "ok", Verdict.PENDING: "warn"}.get(box.verdict, "part")
    sign = _SIGNS.get(box.verdict, "✗")
    left, right = x + _PADDING, x + SIZES.width - _PADDING
    leaf = f"leaf {box.hops[0].leaf}" if len(box.hops) == 1 and box.hops[0].leaf is not None else ""
    room = SIZES.width - 2 * _PADDING
    about = "; ".join(f"{hop.kind} {hop.key}: {hop.verdict}" for hop in box.hops[:3])
    caption = _cut(box.caption, room - (len(leaf) + 1) * 10 * _EM, 10)
    return (
        f'<g class="box {state}"><title>{escape(about)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{SIZES.width}" height="{SIZES.height}" rx="6"/>'
        f'<path class="stripe" d="M{x + 1.5:.1f} {y + 6:.1f}v{SIZES.height - 12}"/>'
        f'<text class="kind" x="{left:.1f}" y="{y + 17:.1f}">{escape(box.kind.upper())}</text>'
        f'<text class="badge" x="{right:.1f}" y="{y + 17:.1f}" text-anchor="end">{sign} {box.verdict}</text>'
        f'<text class="title" x="{left:.1f}" y="{y + 36:.1f}">{escape(_cut(box.title, room, 12))}</text>'
        f'<text class="caption" x="{left:.1f}" y="{y + 52:.1f}">{escape(caption)}</text>'
        f'<text class="caption" x="{right:.1f}" y="{y + 52:.1f}" text-anchor="end">{leaf}</text></g>'
    )


def _cut(text: str, room: float, size: float) -> str:
    """As much of the text as fits: the middle goes, for names differ at their ends."""
    fits = int(room / (size * _EM))
    if len(text) <= fits:
        return text
    head = (fits - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (fits - 1 - head) :]}"
