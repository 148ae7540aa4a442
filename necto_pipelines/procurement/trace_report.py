"""The bundle as one HTML file for people: no network, no script. Dark on screens, white on paper.

The picture in it comes from `trace_drawing.py`, the look from `report_page.py`.
"""

from base64 import b64decode
from collections.abc import Iterable
from html import escape
from typing import Final

from necto_pipelines.procurement.proof_records import Bundle, BundleHop, Verdict
from necto_pipelines.procurement.report_page import items, page, table
from necto_pipelines.procurement.trace_drawing import lineage_svg

_STATES: Final = {Verdict.PROVED: ("ok", "✓"), Verdict.PART: ("part", "·"), Verdict.PENDING: ("warn", "…")}
_PROVES: Final = (
    "Each entry listed below stood in the log when the checkpoint at the end was signed: its proof leads there.",
    "Each row shown is, byte for byte, the one that the newest entry about it holds the SHA-256 of.",
    "Each raw answer and table shown as proved is kept, and hashes to the digest that the row above it names.",
)
_PROVES_NOT: Final = (
    "That what was written was true. It proves what was recorded, and that it was not changed since it was signed.",
    "That nothing was left out of the log by whoever ran Necto, or that nobody is shown another log. Compare the "
    "checkpoint with one in somebody else's hands; whoever holds the signing key can sign a second history.",
    "The times in entries, beyond the bounds that an outside authority's stamps give (“not before”, “not after”).",
)


def report_html(bundle: Bundle) -> str:
    """The report as a whole HTML document."""
    title = f"Lineage proof: {bundle.root.kind} {bundle.root.key}"
    body = "\n".join(
        [
            _head(bundle),
            _cards(bundle),
            _meaning(),
            '<h2>Lineage</h2><div class="panel drawing">',
            lineage_svg(bundle),
            "</div>",
            "<h2>Hops</h2>",
            table(("hop", "verdict", "leaf#", "what it says"), map(_hop_row, bundle.hops)),
            "<h2>Raw answers and tables</h2>",
            _blobs(bundle),
            "<h2>Entries of the log</h2>",
            table(("leaf#", "type", "time it states", "id and hash", "not before", "not after"), _leaf_rows(bundle)),
            _anchors(bundle),
            _how_to_check(bundle),
            "<h2>Entries and proofs in full</h2>",
            _appendix(bundle),
            f"<footer>Made by Necto at {escape(bundle.made_at)} from the books and the log {escape(bundle.log.origin)}."
            " Personal data stands in no entry; where an entry commits to some, only the commitment is shown.</footer>",
        ]
    )
    return page(title, body)


def _head(bundle: Bundle) -> str:
    root, kind = bundle.root, "ok" if bundle.ok else "bad"
    word = "✓ Proved" if bundle.ok else "✗ Not proved"
    told = " · ".join(escape(f"{name} {value}") for name, value in root.facts.items())
    parts = [
        '<header><div><div class="label">Necto · lineage proof</div>',
        f"<h1>{escape(root.kind.capitalize())} {escape(root.key)}</h1>",
        f'<p class="fact">{escape(root.title) + " · " if root.title != root.key else ""}{told}</p></div>',
        f'<div class="verdict {kind}">{word}</div></header>',
    ]
    if bundle.simulated:
        parts.append(
            '<div class="simulated"><strong>Simulated.</strong> Networks or payments that this rests on are those of '
            "Necto's sandbox: nothing was bought or paid. The proofs themselves are real.</div>"
        )
    wrong = [f"{hop.kind} {hop.key}: {hop.verdict}; {hop.why}" for hop in bundle.failed] + list(bundle.faults)
    if wrong:
        parts.append(f'<div class="faults"><strong>What failed</strong><ul>{items(wrong)}</ul></div>')
    return "\n".join(parts)


def _cards(bundle: Bundle) -> str:
    judged = [hop for hop in bundle.hops if hop.verdict is not Verdict.PART]
    proved = sum(hop.verdict is Verdict.PROVED for hop in judged)
    kept = [hop for hop in judged if hop.blob]
    whole = sum(hop.verdict is Verdict.PROVED for hop in kept)
    waiting = sum(hop.verdict is Verdict.PENDING for hop in judged)
    pending = f"; {waiting} cannot be judged yet" if waiting else ""
    assurance = bundle.assurance
    bounds = "no outside time stamp covers all entries yet"
    if assurance.not_after:
        bounds = f"all entries stood by {assurance.not_after}"
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><div class="label">{label}</div><b{word}>{value}</b>'
            f'<span class="note">{note}</span></div>'
            for label, value, note, word in (
                ("Hops proved", f"{proved} / {len(judged)}", f"rows, entries and kept bytes{pending}", ""),
                ("Entries proved", len(bundle.leaves), f"of {bundle.log.size} in the log, to one checkpoint", ""),
                ("Kept bytes whole", f"{whole} / {len(kept)}", "raw answers and tables, hashed again now", ""),
                ("Assurance", assurance.level, escape(assurance.says), ' class="word"'),
                ("Time proved", "yes" if assurance.not_after else "no", escape(bounds), ' class="word"'),
            )
        )
        + "</div>"
    )


def _meaning() -> str:
    return (
        '<h2>What this proves</h2><div class="two">'
        f'<div class="panel"><h3>It proves</h3><ul>{items(_PROVES)}</ul></div>'
        f'<div class="panel"><h3>It does not prove</h3><ul>{items(_PROVES_NOT)}</ul></div></div>'
    )


def _hop_row(hop: BundleHop) -> tuple[str, ...]:
    facts = " ".join(
        f'<span class="fact">{escape(name)} <b>{escape(value)}</b></span>' for name, value in hop.facts.items()
    )
    key = f'<br><span class="sub mono">{escape(hop.key)}</span>' if hop.key != hop.title and not hop.blob else ""
    return (
        f"{escape(hop.kind)} <strong>{escape(hop.title)}</strong>{key}",
        _state(hop) + (f'<br><span class="sub">{escape(hop.why)}</span>' if hop.why else ""),
        "" if hop.leaf is None else str(hop.leaf),
        facts,
    )


def _state(hop: BundleHop) -> str:
    state, sign = _STATES.get(hop.verdict, ("bad", "✗"))
    return f'<span class="state {state}">{sign} {hop.verdict}</span>'


def _blobs(bundle: Bundle) -> str:
    rows = (
        (
            escape(hop.title),
            f'<span class="mono">{hop.blob.sha256}</span>',
            "" if hop.blob.size is None else f"{hop.blob.size:,}",
            _state(hop),
        )
        for hop in bundle.hops
        if hop.blob
    )
    return table(("what", "SHA-256", "bytes#", "hashed again"), rows)


def _leaf_rows(bundle: Bundle) -> Iterable[tuple[str, ...]]:
    for leaf in bundle.leaves:
        yield (
            str(leaf.index),
            escape(leaf.type),
            f'<span class="mono">{escape(leaf.time)}</span>',
            f'<span class="mono">{escape(leaf.id)}<br><span class="sub">{leaf.leaf_hash}</span></span>',
            escape(leaf.not_before or "not bounded"),
            escape(leaf.not_after or "not bounded"),
        )


def _anchors(bundle: Bundle) -> str:
    if not bundle.anchors:
        told = "None yet: no checkpoint of this log was put out of the operator's reach as far as the books know."
        return f"<h2>Anchors</h2><p>{told}</p>"
    rows = (
        (
            str(anchor.size),
            escape(anchor.kind),
            escape(anchor.place),
            escape(anchor.at or "no time proved"),
            "✓ this log grew from it" if anchor.holds else "✗ does not fit this log",
        )
        for anchor in bundle.anchors
    )
    return "<h2>Anchors</h2>" + table(("size#", "kind", "where", "time it states", "consistency"), rows)


def _how_to_check(bundle: Bundle) -> str:
    steps = (
        "Have the log's public key from another source than this report, and compare it with the one below.",
        f"<code>necto audit trace {escape(bundle.root.key)} --bundle DIR</code> writes every entry, proof, row and raw "
        "answer as files. <code>sh DIR/verify.sh DIR VKEY</code> checks all of them with OpenSSL and a POSIX shell, "
        "nothing of Necto.",
        "Every proof below is C2SP tlog-proof text: save it, and the entry's exact bytes, and any tool that reads the "
        "format checks it. The leaf hash is SHA-256 of a zero byte and the entry (RFC 6962).",
        "Compare the checkpoint, or an earlier one of the same log, with a copy that somebody else keeps; "
        "<code>necto-verify</code> takes an export of the whole log and all saved checkpoints.",
    )
    return (
        '<h2>How to check it yourself</h2><div class="two"><div class="panel"><h3>Steps</h3><ol>'
        + "".join(f"<li>{step}</li>" for step in steps)
        + '</ol></div><div class="panel"><h3>Checkpoint and key</h3>'
        f"<pre>{escape(bundle.log.checkpoint)}</pre><div class='label'>Public key of the log</div>"
        f"<pre>{escape(bundle.log.vkey)}</pre></div></div>"
    )


def _appendix(bundle: Bundle) -> str:
    parts = []
    for leaf in bundle.leaves:
        text = b64decode(leaf.leaf).decode("utf-8", "replace")
        proof = leaf.proof.partition("\n\n")[0]
        parts.append(
            f"<details><summary>leaf {leaf.index} · {escape(leaf.type)}</summary>"
            f'<pre>{escape(text)}</pre><pre>{escape(proof)}\n\n<span class="fact">(the checkpoint above)</span></pre>'
            "</details>"
        )
    return f'<div class="panel">{"".join(parts)}</div>'
