"""What an evidence pack says to people: a README in plain language, and an overview that links to every report."""

from dataclasses import dataclass
from html import escape
from typing import Any

from necto_pipelines.procurement.control_mapping import Operated
from necto_pipelines.procurement.proof_records import Bundle
from necto_pipelines.procurement.report_page import items, page, table


@dataclass(frozen=True)
class Found:
    """Everything that goes into a pack."""

    month: str
    made_at: str
    origin: str
    vkey: str
    invoices: dict[str, Bundle]
    controls: list[Operated]
    unmapped: dict[str, int]
    verification: dict[str, Any]
    trouble: list[dict[str, Any]]
    """entries of the month that tell of trouble: leaf, at, type, facts"""
    failed_checks: list[Any]
    """asset checks that failed in the month: asset, check, at, description"""
    incidents: list[dict[str, Any]]
    """refusals to sign the log"""

    @property
    def ok(self) -> bool:
        """Whether every trace is proved and every verifier that ran found nothing."""
        apart = self.verification["necto_verify"]
        traced = all(bundle.ok for bundle in self.invoices.values())
        return traced and self.verification["books"]["ok"] and (not apart["ran"] or apart["ok"])

    @property
    def simulated(self) -> bool:
        """Whether any invoice rests on a simulated network."""
        return any(bundle.simulated for bundle in self.invoices.values())


def readme(found: Found) -> str:
    """The first thing to read, for somebody who knows nothing of Necto."""
    simulated = (
        "\nSIMULATED: invoices in this pack rest on Necto's sandbox networks. Nothing was bought or paid for them.\n"
        if found.simulated
        else ""
    )
    return f"""Evidence of {found.month}
===================

Necto buys computing capacity on decentralised networks for its users, converts the money, and invoices what was used.
Each step leaves an entry in an append-only log whose head is signed. This pack holds the evidence of one month.
{simulated}
Made at {found.made_at} from the log {found.origin}. Overall: {"everything holds" if found.ok else "SOMETHING FAILED"}.

What is in it
-------------
index.html           the overview; open it in any browser, no network needed. Begin here
invoices/NUMBER/     one folder for each invoice: report.html shows all that it rests on; verify.sh checks it
blobs/               what networks and price sources answered, byte for byte, each named by its SHA-256
controls.json        which controls operated (SOC 2, ISO 27001:2022, GDPR), how often, with entries to sample
verification.json    what the verification of the whole log and of every row of the books found
incidents.json       refusals to sign, failed checks, failed or replaced purchases of the month
manifest.json        the SHA-256 of every file

How to check it without trusting whoever made it
------------------------------------------------
1. Have the log's public key from another source than this pack. The pack was made with
   {found.vkey}
2. Unpack it. For each invoice: sh invoices/NUMBER/verify.sh invoices/NUMBER 'KEY'. It needs OpenSSL 3 and a shell.
3. Ask for an export of the whole log (necto audit export) and check it with necto-verify, together with checkpoints
   that you or somebody else kept from earlier. Only these rule out that the log was rewritten and signed anew.
4. The SHA-256 of the pack itself stands in the log as an entry evidence.packed.

What it shows, and what not
---------------------------
It shows what was recorded, and that it was not changed since it was signed. It shows that controls operated, not that
they are sufficient, and it is no certificate. It does not show that a recorded statement is true, nor that everything
that happened was recorded. Control ids are those of the frameworks; their titles here are our own words.

Personal data are withheld: no entry holds any. Where an entry commits to some, the commitment is shown, and the value
can be disclosed separately to whoever may see it. The raw answers in blobs/ are those of networks and price sources,
byte for byte: what a provider publishes about itself is in them.
"""


def index_html(found: Found) -> str:
    """The overview."""
    books, apart = found.verification["books"], found.verification["necto_verify"]
    word, state = ("✓ Everything holds", "ok") if found.ok else ("✗ Something failed", "bad")
    parts = [
        '<header><div><div class="label">Necto · evidence pack</div>',
        f"<h1>Evidence of {found.month}</h1>",
        f'<p class="fact">log {escape(found.origin)} · made {found.made_at}</p></div>',
        f'<div class="verdict {state}">{word}</div></header>',
    ]
    if found.simulated:
        parts.append(
            '<div class="simulated"><strong>Simulated.</strong> Invoices in this pack rest on Necto\'s sandbox: '
            "nothing was bought or paid for them. The proofs themselves are real.</div>"
        )
    parts += [
        "<h2>Invoices</h2>",
        table(("invoice", "total#", "hops proved#", "assurance", "verdict"), map(_invoice_row, found.invoices.items()))
        if found.invoices
        else "<p>No invoice was issued for this month.</p>",
        "<h2>Controls</h2><p>Evidence shows that a control <strong>operated</strong>, not that it is sufficient. The "
        "ids are those of the frameworks, the titles are our own words. The indexes are entries of the log to begin "
        "sampling with.</p>",
        table(
            ("control", "SOC 2 TSC", "ISO 27001:2022 Annex A", "GDPR article", "events of the month", "entries"),
            map(_control_row, found.controls),
        ),
        _unmapped(found),
        "<h2>Verification</h2>",
        table(
            ("by", "entries#", "result", "faults"),
            [
                ("Necto, on log, checkpoints and every row of the books", str(books["size"]), *_result(books)),
                ("necto-verify, on an export", str(apart.get("size", "")), *_result(apart)),
            ],
        ),
        "<h2>What went wrong in the month</h2>",
        _trouble(found),
        f"<h2>Public key of the log</h2><div class='panel'><pre>{escape(found.vkey)}</pre></div>",
        "<footer>Personal data are withheld: no entry of the log holds any.</footer>",
    ]
    return page(f"Evidence of {found.month}", "\n".join(parts))


def _invoice_row(each: tuple[str, Bundle]) -> tuple[str, ...]:
    number, bundle = each
    proved = sum(hop.verdict == "proved" for hop in bundle.hops)
    return (
        f'<a href="invoices/{escape(number)}/report.html">{escape(number)}</a>',
        escape(bundle.root.facts.get("total", "")),
        str(proved),
        bundle.assurance.level,
        _state(ok=bundle.ok),
    )


def _control_row(each: Operated) -> tuple[str, ...]:
    counts = ", ".join(f"{kind} {count}" for kind, count in each.counts.items())
    samples = ", ".join(str(index) for indexes in each.examples.values() for index in indexes)
    return (
        escape(each.control.title),
        ", ".join(each.control.soc2),
        ", ".join(each.control.iso27001),
        ", ".join(each.control.gdpr) or "–",
        escape(counts) or '<span class="state warn">… none</span>',
        f'<span class="mono">{samples}</span>',
    )


def _unmapped(found: Found) -> str:
    if not found.unmapped:
        return ""
    told = ", ".join(f"{kind} {count}" for kind, count in found.unmapped.items())
    return f'<p class="fact">Events that no control above asks for: {escape(told)}.</p>'


def _result(verdict: dict[str, Any]) -> tuple[str, str]:
    if not verdict.get("ran", True):
        return '<span class="state warn">… not run</span>', escape(verdict["why"])
    faults = "; ".join(str(fault.get("what", fault)) for fault in verdict["faults"][:20])
    level = verdict.get("assurance", "")
    return _state(ok=verdict["ok"]) + (f" {escape(str(level))}" if level else ""), escape(faults) or "none"


def _trouble(found: Found) -> str:
    rows = [
        (str(each["at"]), "refusal to sign", escape(f"{each['kind']}: {each['what']}"), "") for each in found.incidents
    ]
    rows += [
        (each["at"], "failed check", escape(f"{each['asset']} {each['check']}: {each['description']}"), "")
        for each in found.failed_checks
    ]
    for each in found.trouble:
        facts = " · ".join(f"{name} {value}" for name, value in each["facts"].items())
        rows.append((escape(str(each["at"])), escape(each["type"]), escape(facts), str(each["leaf"])))
    if not rows:
        return f"<ul>{items(['Nothing that the log or the checks know of.'])}</ul>"
    return table(("when", "what", "facts", "leaf#"), sorted(rows))


def _state(*, ok: bool) -> str:
    return '<span class="state ok">✓ holds</span>' if ok else '<span class="state bad">✗ failed</span>'
