"""How `necto route` shows its answer: one JSON document whose fields stay as they are, or tables for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.markup import escape

from necto_pipelines.cli.output import print_table, stdout
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Candidate, Decision, InputPin, Refusal
from necto_pipelines.model.money import plain
from necto_pipelines.procurement.what_if import Answer, House, WhatIf
from necto_pipelines.routing.joint import count_reasons
from necto_pipelines.routing.relaxing import Relaxation

BOUND: str = "no plan that serves orders of the same worth costs less (docs/concepts/allocation.md)"
_FEW = 5
"""alternatives that are shown unless all are asked for"""


@dataclass(frozen=True)
class Asked:
    """What the answer rests on."""

    house: House
    budgets: Mapping[str, Decimal]
    pins: tuple[InputPin, ...]
    modes: Sequence[str]
    """live or sandbox (simulated): of the offers"""
    earlier: Mapping[str, Decision]
    """what was decided then, by order id"""
    since: str | None


def as_document(found: WhatIf, asked: Asked, *, explain: bool) -> dict[str, Any]:
    """The answer as docs/how-to/what-if.md describes it; money is decimal text."""
    plan = found.plan
    return {
        "dry_run": True,
        "asked_at": rfc3339(asked.house.now),
        "since": asked.since,
        "modes": list(asked.modes),
        "inputs": [pin.model_dump(mode="json") for pin in asked.pins],
        "policy": asked.house.policy.model_dump(mode="json"),
        "budgets": [
            {
                "cost_centre": centre,
                "usd": plain(usd),
                "planned_usd": plain(found.planned_usd.get(centre, Decimal(0))),
                "left_usd": plain(usd - found.planned_usd.get(centre, Decimal(0))),
            }
            for centre, usd in asked.budgets.items()
        ],
        "plan": {
            "method": plan.method,
            "orders": len(plan.placements),
            "placed": len(plan.placements) - len(plan.refused),
            "refused": len(plan.refused),
            "cost_usd": plain(plan.cost_usd),
            "expected_usd": plain(sum(found.planned_usd.values(), start=Decimal(0))),
            "bound_usd": plain(plan.bound_usd),
            "gap": plain(plan.gap),
            "bound": BOUND,
        },
        "orders": [_order(answer, found, asked, explain=explain) for answer in found.answers],
    }


def _order(answer: Answer, found: WhatIf, asked: Asked, *, explain: bool) -> dict[str, Any]:
    order, chosen = answer.order, answer.allocation.chosen
    alternatives, refused = _sides(answer)
    left_out = found.plan.refused.get(order.id)
    then = asked.earlier.get(order.id)
    document = {
        "id": order.id,
        "name": order.request.name,
        "cost_centre": order.request.cost_centre,
        "gpu": order.request.requirement.gpu.model_dump(mode="json"),
        "hours": plain(order.request.requirement.hours),
        "budget_usd": plain(order.request.budget_usd),
        "strategy": answer.policy.effective_strategy,
        "risk_weight": plain(answer.policy.effective_risk_weight),
        "decision": "placed" if chosen else "refused",
        "chosen": _candidate(chosen) if chosen else None,
        "fallback": _candidate(answer.fallback) if answer.fallback else None,
        "alternatives": [_candidate(candidate) for candidate in alternatives],
        "offers_seen": len(answer.allocation.candidates),
        "offers_refused": len(refused),
        "reasons": [{"reason": r, "offers": n} for r, n in count_reasons(answer.allocation.candidates).items()],
        "relax": _relaxation(left_out.relax) if left_out and left_out.relax else None,
        "relaxations": [_relaxation(relax) for relax in left_out.relaxations] if left_out else [],
        "then": _then(then) if then else None,
    }
    return document | ({"refused_offers": [_candidate(candidate) for candidate in refused]} if explain else {})


def _sides(answer: Answer) -> tuple[list[Candidate], list[Candidate]]:
    """The alternatives to the chosen offer, and the refused ones."""
    candidates = answer.allocation.candidates
    alternatives = [candidate for candidate in candidates if candidate.refusals == (Refusal.DEARER,)]
    return alternatives, [c for c in candidates if c.refusals and c.refusals != (Refusal.DEARER,)]


def _candidate(candidate: Candidate) -> dict[str, Any]:
    document = candidate.model_dump(mode="json")
    if candidate.cost:
        document["cost"]["total_usd"] = plain(candidate.cost.total_usd)
    return document


def _relaxation(relax: Relaxation) -> dict[str, Any]:
    return {
        "constraints": list(relax.constraints),
        "offer_id": relax.offer_id,
        "network": relax.network,
        "provider_name": relax.provider_name,
        "gpu_key": relax.gpu_key,
        "expected_usd": plain(relax.expected_usd),
        "missing_usd": {reason: plain(usd) for reason, usd in relax.missing_usd.items()},
        "details": relax.details,
    }


def _then(decision: Decision) -> dict[str, Any]:
    """What was decided when the order was routed last."""
    return {
        "decision_id": decision.id,
        "strategy": decision.strategy,
        "offer_id": decision.chosen.offer_id if decision.chosen else None,
        "provider_name": decision.chosen.provider_name if decision.chosen else None,
        "expected_usd": plain(decision.expected_usd) if decision.chosen else None,
    }


def print_answer(found: WhatIf, asked: Asked, *, explain: bool) -> None:
    """Each order with its offers, then the plan and the budgets."""
    _say(f"Dry run: nothing is bought. Offers: {', '.join(asked.modes) or 'none'}; policy {asked.house.policy.name}")
    for answer in found.answers:
        _print_order(answer, found, asked, explain=explain)
    plan = found.plan
    _say("")
    print_table(
        "Budgets",
        ("cost centre", "budget $", "planned $", "left $"),
        (
            (centre, usd, planned := found.planned_usd.get(centre, Decimal(0)), usd - planned)
            for centre, usd in asked.budgets.items()
        ),
        right=("budget $", "planned $", "left $"),
    )
    placed = len(plan.placements) - len(plan.refused)
    paid = sum(found.planned_usd.values(), start=Decimal(0))
    _say(f"Plan: {placed} of {len(plan.placements)} orders placed, ${paid} to pay")
    _say(f"Cost ${plan.cost_usd}, bound ${plan.bound_usd}, gap {100 * plan.gap:.2f} % ({plan.method})")
    _say(f"Bound: {BOUND}")


def _print_order(answer: Answer, found: WhatIf, asked: Asked, *, explain: bool) -> None:
    _say("")
    order, chosen = answer.order, answer.allocation.chosen
    need, policy = order.request.requirement, answer.policy
    gpu = need.gpu.model or f"≥ {need.gpu.min_vram_gib} GiB"
    weight = f", risk weighs {plain(policy.effective_risk_weight)}" if policy.effective_strategy == "balanced" else ""
    title = f"{order.request.name}: {need.gpu.count} × {gpu} for {plain(need.hours)} h, by {policy.effective_strategy}"
    alternatives, refused = _sides(answer)
    ranked = [*([chosen] if chosen else []), *alternatives]
    if ranked:
        _print_ranked(f"{title}{weight}", ranked if explain else ranked[: _FEW + 1], answer)
    else:
        _say(f"{title}{weight}")
    if len(ranked) > _FEW + 1 and not explain:
        _say(f"{len(ranked) - _FEW - 1} more could serve (--explain shows them)")
    counts = ", ".join(f"{reason} {n}" for reason, n in count_reasons(answer.allocation.candidates).items())
    _say(f"{len(refused)} of {len(answer.allocation.candidates)} offers refused" + (f": {counts}" if counts else ""))
    if then := asked.earlier.get(order.id):
        was = f"{then.chosen.provider_name}, ${then.expected_usd}" if then.chosen else "no offer"
        _say(f"Then: {was} ({then.strategy})")
    left_out = found.plan.refused.get(order.id)
    if left_out and (relax := left_out.relax):
        _say(
            f"REFUSED. Nearest: {relax.provider_name} at ${relax.expected_usd}, without {', '.join(relax.constraints)}"
        )
        _say(f"  {relax.details}")
        if explain:
            _print_relaxations(order.request.name, left_out.relaxations)
        elif len(left_out.relaxations) > 1:
            _say(f"  Other ways to serve it: {len(left_out.relaxations) - 1} (--explain shows them)")
    if explain and refused:
        print_table(
            f"{order.request.name}: refused offers",
            ("offer", "$/GPU-h", "order $", "refused because", "figures"),
            (
                (_place(c), f"{c.usd_per_gpu_hour:.4f}", c.expected_usd, "\n".join(c.refusals), c.details)
                for c in refused
            ),
            right=("$/GPU-h", "order $"),
        )


def _print_relaxations(name: str, relaxations: Sequence[Relaxation]) -> None:
    print_table(
        f"{name}: what would serve it, the least to give up first",
        ("without", "best offer", "order $", "missing $", "figures"),
        (
            (
                "\n".join(relax.constraints),
                f"{relax.network} {relax.provider_name} {relax.gpu_key}",
                relax.expected_usd,
                "\n".join(_missing(reason, relax) for reason in relax.constraints).rstrip(),
                relax.details,
            )
            for relax in relaxations
        ),
        right=("order $", "missing $"),
    )


def _missing(reason: Refusal, relax: Relaxation) -> str:
    """Beside its constraint: whole dollars and cents, but for a cap's, which are per GPU-hour."""
    usd = relax.missing_usd.get(reason)
    if usd is None:
        return ""
    return f"{usd:.4f} per GPU-h" if reason is Refusal.PRICE_CAP else f"{usd:.2f}"


def _print_ranked(title: str, candidates: Sequence[Candidate], answer: Answer) -> None:
    figures = ("$/GPU-h", "compute $", "conversion $", "risk $", "transfer $", "to pay $", "ranked by $", "lasts")
    rows = []
    for candidate in candidates:
        mark = "→" if candidate == answer.allocation.chosen else "fall-back" if candidate == answer.fallback else ""
        cost, lasts = candidate.cost, candidate.survival
        parts = [f"{cost.compute_usd:.2f}", f"{cost.conversion_usd:.2f}", f"{cost.risk_usd:.2f}"] if cost else [""] * 3
        transfer = "unknown" if not cost or cost.transfer_usd is None else f"{cost.transfer_usd:.2f}"
        rows.append(
            (
                *(mark, _place(candidate), candidate.price_basis, f"{candidate.usd_per_gpu_hour:.4f}"),
                *(*parts, transfer, candidate.expected_usd, candidate.weighed_usd),
                *("" if lasts is None else f"{100 * lasts:.1f} %", candidate.score),
            )
        )
    print_table(title, ("", "offer", "basis", *figures, "score"), rows, right=(*figures, "score"))


def _place(candidate: Candidate) -> str:
    return f"{candidate.network} {candidate.provider_name} {candidate.gpu_key} {candidate.country or ''}".rstrip()


def _say(line: str) -> None:
    stdout.print(escape(line), highlight=False, soft_wrap=True)
