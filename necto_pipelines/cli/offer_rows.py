"""Offers as `necto offers` shows them: with age, price basis and source, and for each that does not fit, what it has
against what was asked. Pure; which offers fit is said by `routing/catalog.py`."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.gpu import FP16_TFLOPS
from necto_pipelines.model.money import plain
from necto_pipelines.routing.catalog import Query

Row = Mapping[str, Any]

BASES: Final = {
    "bid": "binding for minutes",
    "list": "published by the seller, not binding",
    "private_quote": "quoted to us, binding until its date",
    "estimate": "the seller's latest known price, not binding: an order asks for a bid",
}
"""what each price basis is worth"""
HOUSE_POLICY: Final = "the house policy"


def shown(row: Row, *, score: int | None, now: datetime, max_age: timedelta) -> dict[str, Any]:
    """The row of OFFERS for a program, with `score`, `age_s`, the same in words as `age`, and whether it is `fresh`:
    not older than orders take, or a private quote that still holds."""
    age, until = now - row["observed_at"], row.get("valid_until")
    return {name: as_json(value) for name, value in row.items()} | {
        "score": score,
        "age_s": round(age.total_seconds()),
        "age": in_words(age),
        "fresh": now < until if until else age <= max_age,
    }


def exclusion(reason: Refusal, row: Row, query: Query, verdict: Row | None) -> dict[str, Any]:
    """Why the offer does not fit: the reason's name, what the offer `has`, and what was `asked`.

    `verdict` is the provider's row of COMPLIANCE_SCORES.
    """
    if tell := _TELL.get(reason):
        has, asked = tell(row, query)
    elif reason is Refusal.SCORE:
        score = "unknown" if verdict is None else verdict["score"]
        has, asked = f"compliance score {score}", f"at least {query.min_score:g}"
    else:
        details = (verdict["details"] if verdict else "") or "nothing is known about this provider"
        has, asked = f"{str(reason).replace('_', ' ')} ({details})", HOUSE_POLICY
    return {"reason": str(reason), "has": has, "asked": asked}


def sentence(found: Row) -> str:
    """An exclusion in one line: `country US, asked DE or NL`."""
    return f"{found['has']}, asked {found['asked']}"


def summary(rows: list[dict[str, Any]], fitting: set[str]) -> list[dict[str, Any]]:
    """One row for each network and mode of what the catalog holds: offers, how many of them fit, ages."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["network"], row["mode"]), []).append(row)
    return [
        {
            "network": network,
            "mode": mode,
            "offers": len(mine),
            "fitting": sum(row["offer_id"] in fitting for row in mine),
            "price_bases": sorted({row["price_basis"] for row in mine}),
            "youngest_s": min(row["age_s"] for row in mine),
            "oldest_s": max(row["age_s"] for row in mine),
        }
        for (network, mode), mine in sorted(found.items())
    ]


def in_words(age: timedelta) -> str:
    """A length of time as a person says it: `45 s`, `4 min`, `3 h`, `2 days`."""
    seconds = age.total_seconds()
    if seconds < 0:
        return "in the future"
    for unit, size, least in (("s", 1, 0), ("min", 60, 90), ("h", 3600, 5400), ("days", 86400, 129600)):
        if seconds >= least:
            text = f"{seconds / size:.0f} {unit}"
    return text


def native(row: Row) -> str:
    """The price as its network gave it, with the seconds that a block was measured to last."""
    blocks = f" ({row['block_seconds']} s a block)" if row.get("block_seconds") else ""
    return f"{row['native_amount']} {row['native_unit']}{blocks}"


def as_json(value: Any) -> Any:
    """Times as RFC 3339 text and decimals as plain text."""
    if isinstance(value, datetime):
        return rfc3339(value)
    return plain(value) if isinstance(value, Decimal) else value


def _compute(row: Row) -> str:
    tflops = FP16_TFLOPS.get(row["gpu_family"])
    return "no FP16 figure" if tflops is None else f"{tflops:g} FP16 TFLOPS"


def _capacity(row: Row) -> str:
    unit = f", in units of {row['gpus_per_unit']}" if row.get("gpus_per_unit") else ""
    return f"{row['units_available']} GPUs free, at most {row['max_gpus_per_order']} an order{unit}"


def _machine(row: Row) -> str:
    return f"{row['cpu_cores']:g} cores, {row['memory_gib']:g} GiB memory, {row['disk_gib']:g} GiB disk free"


def _among(wanted: frozenset[str]) -> str:
    return " or ".join(sorted(wanted))


_TELL: Final[Mapping[Refusal, Callable[[Row, Query], tuple[str, str]]]] = {
    Refusal.GPU: lambda row, query: (f"GPU {row['gpu_key']}", str(query.gpu)),
    Refusal.VRAM: lambda row, query: (f"VRAM {row['vram_gib']} GiB", f"at least {query.min_vram_gib:g} GiB"),
    Refusal.COMPUTE: lambda row, query: (_compute(row), f"at least {query.min_fp16_tflops:g}"),
    Refusal.CAPACITY: lambda row, query: (_capacity(row), str(query.gpus)),
    Refusal.UNIT: lambda row, query: (_capacity(row), str(query.gpus)),
    Refusal.MACHINE: lambda row, query: (
        _machine(row),
        f"{query.min_cpu_cores:g} cores, {query.min_memory_gib:g} GiB, {query.min_disk_gib:g} GiB",
    ),
    Refusal.COUNTRY: lambda row, query: (f"country {row['country'] or 'unknown'}", _among(query.countries)),
    Refusal.REGION: lambda row, query: (f"region {row['region'] or 'unknown'}", _among(query.regions)),
    Refusal.NETWORK: lambda row, query: (f"network {row['network']}", _among(query.networks)),
    Refusal.PRICE_CAP: lambda row, query: (
        f"{plain(row['usd_per_gpu_hour'])} USD per GPU-hour",
        f"at most {query.max_usd_per_gpu_hour:g}",
    ),
    Refusal.INTERRUPTIBLE: lambda *_: ("its provider may take it back", "capacity that stays"),
}
"""for reasons that the offer itself shows: what it has, and what was asked"""
