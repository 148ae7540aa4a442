"""Which control each type of event is evidence for: SOC 2 Trust Services Criteria, ISO 27001:2022 Annex A, GDPR.

Only the ids are the frameworks' own; their texts are under copyright, so every title here is ours. An event shows that
a control operated, not that it is sufficient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

EXAMPLES: Final = 3
"""entries named for each control, so that an auditor can begin to sample"""


@dataclass(frozen=True)
class Control:
    """What is controlled, where frameworks ask for it, and by which types of event it shows."""

    title: str
    soc2: tuple[str, ...]
    iso27001: tuple[str, ...]
    gdpr: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Operated:
    """A control and the month's events that show it; `counts` and `examples` (leaf indexes) by type of event."""

    control: Control
    counts: Mapping[str, int]
    examples: Mapping[str, tuple[int, ...]]


CONTROLS: Final = (
    Control(
        "Suppliers are looked into before anything is bought from them",
        ("CC3.2", "CC9.2"),
        ("A.5.19", "A.5.21"),
        ("28(1)", "5(2)"),
        ("decision.recorded",),
    ),
    Control(
        "Policies decide, and every refusal has its reason",
        ("CC5.2", "CC5.3"),
        ("A.5.1", "A.5.36"),
        ("24", "25"),
        ("decision.recorded", "bids.judged", "bid.passed_over"),
    ),
    Control(
        "Where a workload may run is decided and kept",
        ("C1.1",),
        ("A.5.23", "A.5.31", "A.5.34"),
        ("44 to 46", "30(1)(e)"),
        ("decision.recorded", "lease.opened"),
    ),
    Control(
        "Suppliers are watched; incidents lead to exits and replacements",
        ("A1.1", "A1.2", "CC7.4"),
        ("A.5.22", "A.5.23", "A.5.29", "A.5.30"),
        ("32(1)(b)",),
        ("lease.health", "failover.decided", "lease.moved"),
    ),
    Control(
        "Spending is bounded by budgets that are set apart from orders",
        ("CC5.1", "CC6.3"),
        ("A.5.3", "A.5.15", "A.5.18"),
        ("32(4)",),
        ("budget.set", "budget.held", "budget.released", "budget.spent", "order.submitted", "order.moved"),
    ),
    Control(
        "Payments, conversions and invoices are whole and add up",
        ("PI1.2", "PI1.3", "PI1.4"),
        ("A.5.33", "A.8.15"),
        (),
        (
            "effect.begun",
            "effect.ended",
            "conversion.recorded",
            "usage.recorded",
            "charges.recorded",
            "invoice.issued",
        ),
    ),
    Control(
        "The trail is kept whole, bounded in time, and gone through",
        ("CC7.2", "CC7.3"),
        ("A.5.28", "A.5.33", "A.8.15", "A.8.17"),
        ("5(1)(f)", "5(2)", "30"),
        (
            "run.started",
            "run.finished",
            "run.sealed",
            "log.anchored",
            "log.continued",
            "asset.materialized",
            "incident.raised",
            "incident.resolved",
            "evidence.packed",
        ),
    ),
    Control(
        "Keys are changed, and access to personal data leaves a trace",
        ("CC6.1",),
        ("A.5.17", "A.8.24"),
        ("32(1)(a)",),
        ("log.key.rotated", "privacy.opened"),
    ),
    Control(
        "Changes of the rules are versioned",
        ("CC8.1",),
        ("A.8.9", "A.8.32"),
        ("25",),
        ("registry.published",),
    ),
    Control(
        "What is no longer needed ends: leases are closed, personal data erased",
        ("CC6.5",),
        ("A.5.11", "A.8.10"),
        ("17", "28(3)(g)"),
        ("lease.moved", "privacy.erased", "privacy.held", "privacy.freed"),
    ),
)


def operated(indexes: Mapping[str, Sequence[int]]) -> list[Operated]:
    """Each control with the month's events; `indexes` are leaf indexes by type of event. A control without events
    stands there too: that nothing was shown is a finding."""
    return [
        Operated(
            control,
            {kind: len(indexes[kind]) for kind in control.types if kind in indexes},
            {kind: tuple(indexes[kind][:EXAMPLES]) for kind in control.types if kind in indexes},
        )
        for control in CONTROLS
    ]


def unmapped(types: Iterable[str]) -> list[str]:
    """Types of event that are evidence for no control listed here."""
    mapped = {kind for control in CONTROLS for kind in control.types}
    return sorted(set(types) - mapped)
