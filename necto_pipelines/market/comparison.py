"""The cheapest offer of each GPU against each cloud's on-demand machine that would do the same.

Pure functions on tables. Which machine that is stands in `twins`; where the prices come from in the networks' adapters
and in `clouds`; which offer an order gets is routing's business.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from necto_pipelines.market.clouds.regions import place_group
from necto_pipelines.market.twins import SAME, Machines, Need, Twin, cheapest_of, known_homes
from necto_pipelines.model.gpu import FP16_TFLOPS
from necto_pipelines.model.tables import CLOUD_PRICES, OFFERS, PRICE_COMPARISON, TOKEN_PRICES, records, to_frame

AKT: Final = "AKT"
CHEAPEST: Final = "cheapest"
CHEAPEST_COMPLIANT: Final = "cheapest_compliant"
COUNT_CLASSES: Final = (1, 2, 4, 8)
"""the sizes that clouds sell machines in"""
USD_STEP: Final = Decimal("1E-12")
PERCENT_STEP: Final = Decimal("0.01")
_OFFER_ORDER: Final = ("gpu_key", "usd_per_gpu_hour", "network", "provider", "offer_id")
_COPIED: Final = (
    "gpu_key", "offer_id", "network", "provider", "country", "interruptible", "price_basis", "observed_at", "mode",
)  # fmt: skip
_READ: Final = (
    *_COPIED, "gpu_family", "vram_gib", "region", "usd_per_gpu_hour", "units_available", "max_gpus_per_order",
    "gpus_per_unit", "min_hours",
)  # fmt: skip
_PROVIDER: Final = ["network", "provider"]


@dataclass(frozen=True)
class Question:
    """What is compared. Without a place each offer meets the machines nearest to itself."""

    gpu_counts: tuple[int, ...] = COUNT_CLASSES
    hours: Decimal = Decimal(1)
    """how long; offers that are only sold for longer are left out, as no cloud asks for that on demand"""
    countries: frozenset[str] = frozenset()
    """only offers in these countries, against machines in or nearest to their parts of the world"""
    region_group: str | None = None
    """only offers in this part of the world, against machines in or nearest to it"""
    interruptible: bool = False
    """True also compares capacity that its provider may take back, which no cloud does on demand"""


def compare(
    offers: pd.DataFrame,
    clouds: pd.DataFrame,
    tokens: pd.DataFrame,
    scores: pd.DataFrame | None = None,
    question: Question | None = None,
) -> pd.DataFrame:
    """One row (`PRICE_COMPARISON`) for each GPU, count, choice of offer and cloud that can serve, in that order.

    Takes frames with the columns of `OFFERS`, `CLOUD_PRICES` (whole GPUs), `TOKEN_PRICES` and `COMPLIANCE_SCORES`;
    without scores nobody is known to be compliant and only the choice `cheapest` is made. List prices are compared with
    list prices: neither side promises capacity. A cloud with nothing as good gives no row.
    """
    question = question or Question()
    machines, akt_usd = Machines(CLOUD_PRICES.arrow(clouds).to_pylist()), _akt_usd(tokens)
    rows: list[dict[str, Any]] = []
    for count, choice, offer in _choices(offers, scores, question):
        homes = {question.region_group} if question.region_group else {offer["region_group"]}
        if question.countries:
            homes = {place_group(country, None) for country in question.countries}
        need = Need(offer["gpu_family"], offer["vram_gib"], count, known_homes(homes))
        twins = {cloud: twin for cloud in machines.clouds if (twin := machines.twin(cloud, need))}
        per_gpu = cheapest_of({cloud: twin.machine.usd_per_gpu_hour for cloud, twin in twins.items()})
        per_order = cheapest_of({cloud: twin.machine.usd_per_hour for cloud, twin in twins.items()})
        side = _offer_side(offer, count, choice, akt_usd)
        rows.extend(
            side
            | _cloud_side(twin)
            | _savings(side, twin)
            | {"cheapest_per_gpu_hour": cloud == per_gpu, "cheapest_per_order": cloud == per_order}
            for cloud, twin in twins.items()
        )
    rows.sort(key=lambda row: (row["gpu_key"], row["gpu_count"], row["choice"], row["cloud"]))
    return PRICE_COMPARISON.frame(rows)


def savings_pct(offer_usd: Decimal, cloud_usd: Decimal) -> Decimal:
    """What an offer saves against a cloud's price, percent, half-up to two decimals; negative when it costs more."""
    return (100 * (1 - offer_usd / cloud_usd)).quantize(PERCENT_STEP, rounding=ROUND_HALF_UP)


def count_class(gpu_count: int) -> int:
    """The smallest size of machine that holds so many GPUs; the count itself when clouds sell none that big."""
    return next((size for size in COUNT_CLASSES if size >= gpu_count), gpu_count)


def same_gpu_prices(comparison: pd.DataFrame) -> dict[tuple[str, int], dict[str, Decimal]]:
    """(GPU, count class) -> cloud -> US dollars per GPU-hour of the same GPU model; proxies are left out.

    `comparison` has the columns of `PRICE_COMPARISON`. Near to the cheapest compliant offer where there is one.
    """
    prices: dict[tuple[str, int], dict[str, Decimal]] = {}
    for row in sorted(records(comparison), key=lambda row: row["choice"] == CHEAPEST_COMPLIANT):
        if row["twin"] == SAME:
            prices.setdefault((row["gpu_key"], row["gpu_count"]), {})[row["cloud"]] = row["cloud_usd_per_gpu_hour"]
    return prices


def smallest(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """The records of `PRICE_COMPARISON` for the fewest GPUs that each model is sold in, which is one for most.

    That is the smallest size a compliant provider serves; where there is none, the smallest that anyone serves.
    """
    rows = records(comparison)
    sizes: dict[str, tuple[bool, int]] = {}
    for row in rows:
        size = (row["choice"] != CHEAPEST_COMPLIANT, row["gpu_count"])
        sizes[row["gpu_key"]] = min(size, sizes.get(row["gpu_key"], size))
    return [row for row in rows if row["gpu_count"] == sizes[row["gpu_key"]][1]]


def headlines(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """For each GPU one of its `smallest` records: against the cloud that asks least per GPU-hour, most saved first.

    Of the cheapest compliant offer; of the cheapest one only where nobody compliant offers the GPU.
    """
    best: dict[str, dict[str, Any]] = {}
    for row in smallest(comparison):
        if row["cheapest_per_gpu_hour"] and (row["gpu_key"] not in best or row["choice"] == CHEAPEST_COMPLIANT):
            best[row["gpu_key"]] = row
    return sorted(best.values(), key=lambda row: (-row["savings_pct"], row["gpu_key"]))


def not_compared(offers: pd.DataFrame, comparison: pd.DataFrame, question: Question) -> dict[str, str]:
    """GPU -> why an offered GPU has no row in the `comparison` made for this question."""
    compared = {row["gpu_key"] for row in records(comparison[["gpu_key"]])}
    asked = {offer["gpu_key"] for _, _, offer in _choices(offers, None, question)}
    families = {row["gpu_key"]: row["gpu_family"] for row in records(offers[["gpu_key", "gpu_family"]])}
    reasons = {}
    for gpu_key in sorted(families.keys() - compared):
        if gpu_key not in asked:
            reasons[gpu_key] = "no offer fits: too few GPUs at once, elsewhere, for longer, or may be taken back"
        elif families[gpu_key] not in FP16_TFLOPS:
            reasons[gpu_key] = "no cloud sells it, and without a published compute figure no better GPU can be named"
        else:
            reasons[gpu_key] = "no cloud has a machine as good"
    return reasons


def bar(pct: Decimal, width: int = 10) -> str:
    """A percentage as a bar that is full at 100; empty from 0 downwards.

    >>> bar(Decimal(25), 8)
    '██'
    """
    eighths = max(0, min(8 * width, round(8 * width * pct / 100)))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _choices(
    offers: pd.DataFrame, scores: pd.DataFrame | None, question: Question
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(GPUs asked for, choice, offer) with the offer's `region_group` and the `offers_seen` it was chosen from."""
    schema = pa.schema([(name, OFFERS.columns[name][0]) for name in _READ])
    arrow = pa.Table.from_pandas(offers, schema=schema, preserve_index=False)
    # Sorted by Arrow, which orders decimals exactly.
    frame = to_frame(arrow.sort_by([(name, "ascending") for name in _OFFER_ORDER]))
    frame = frame[_in_place(frame, question) & (frame["min_hours"].fillna(0) <= question.hours)]
    if not question.interruptible:
        frame = frame[~frame["interruptible"].to_numpy(dtype=bool, na_value=True)]
    fields = {CHEAPEST: frame}
    if scores is not None:
        good = scores.loc[scores["compliant"].to_numpy(dtype=bool, na_value=False), _PROVIDER].drop_duplicates()
        fields[CHEAPEST_COMPLIANT] = frame.merge(good.astype(frame.dtypes[_PROVIDER].to_dict()), on=_PROVIDER)
    for choice, field in fields.items():
        for count in question.gpu_counts:
            able = field[
                (field["units_available"] >= count)
                & (field["max_gpus_per_order"] >= count)
                & (field["gpus_per_unit"].fillna(count) == count)
            ]
            seen = able["gpu_key"].value_counts()
            for offer in records(able.drop_duplicates(subset=["gpu_key"])):
                extra = {
                    "region_group": place_group(offer["country"], offer["region"]),
                    "offers_seen": int(seen[offer["gpu_key"]]),
                }
                yield count, choice, offer | extra


def _in_place(frame: pd.DataFrame, question: Question) -> pd.Series:
    countries, group = question.countries, question.region_group
    fits = [
        (not countries or place["country"] in countries)
        and (not group or place_group(place["country"], place["region"]) == group)
        for place in records(frame[["country", "region"]])
    ]
    return pd.Series(fits, index=frame.index, dtype=bool)


def _offer_side(offer: Mapping[str, Any], count: int, choice: str, akt_usd: Decimal | None) -> dict[str, Any]:
    usd = offer["usd_per_gpu_hour"]
    return {name: offer[name] for name in _COPIED} | {
        "gpu_count": count,
        "region_group": offer["region_group"],
        "offers_seen": offer["offers_seen"],
        "choice": choice,
        "depin_usd_per_gpu_hour": usd,
        "depin_akt_per_gpu_hour": (usd / akt_usd).quantize(USD_STEP) if akt_usd else None,
        "depin_usd_per_hour": usd * count,
    }


def _cloud_side(twin: Twin) -> dict[str, Any]:
    machine = twin.machine
    return {
        "cloud": machine.cloud,
        "twin": twin.kind,
        "proxy_gpu": twin.proxy_gpu,
        "cloud_gpu_key": machine.gpu_key,
        "cloud_instance": machine.instance,
        "cloud_gpu_count": machine.gpu_count,
        "cloud_region": machine.region,
        "cloud_region_group": machine.region_group,
        "same_region_group": twin.same_region_group,
        "cloud_usd_per_gpu_hour": machine.usd_per_gpu_hour,
        "cloud_usd_per_hour": machine.usd_per_hour,
        "cloud_as_of": machine.as_of,
        "cloud_source": machine.source,
        "cloud_mode": machine.mode,
    }


def _savings(side: Mapping[str, Any], twin: Twin) -> dict[str, Decimal]:
    return {
        "savings_pct": savings_pct(side["depin_usd_per_gpu_hour"], twin.machine.usd_per_gpu_hour),
        "order_savings_pct": savings_pct(side["depin_usd_per_hour"], twin.machine.usd_per_hour),
    }


def _akt_usd(tokens: pd.DataFrame) -> Decimal | None:
    """What the sources agree AKT is worth, else the newest price that counts; None when there is none."""
    rows: list[dict[str, Any]] = TOKEN_PRICES.arrow(tokens).to_pylist()
    akt = [row for row in rows if row["token"] == AKT and row["used"] is not False]
    best = max(akt, key=lambda row: (row["consensus"] is True, row["published_at"]), default=None)
    return best["usd"] if best else None
