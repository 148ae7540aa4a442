"""The gate: which claimed prices can be believed, and for each other one, why not.

Published catalogues hold prices that nobody pays. In one of them 61 of 162 checked GCP rows were 35 to 64 % too low,
because its maker took the rate of reserved capacity for the on-demand one (anycloud-sh/catalog @62ff0a98, and
skypilot-catalog @006059e0). Nothing about such a row is odd by itself; it shows beside its neighbours.

Rules, in the order in which they are asked. A row that one of them refuses is no neighbour for those that follow, so
what spot prices give away cannot drag a median down, even where wrong rows are the majority:

* `no price`: zero, missing or negative
* `spot above on-demand`: nobody would pay more for capacity that can be taken away
* `far from the reference`: over 30 % off our own dated table (optional; only figures of about the table's year)
* `far under its regions`: over 30 % under the median of the same machine over the cloud's regions
* `newer under older`: a card cheaper than one that it betters in everything, in the same part of the world

Thresholds are shares of prices in binary floating point: a judgement on prices, never a sum that is paid.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from necto_pipelines.market.clouds.claims import CLAIMS, PriceClaim
from necto_pipelines.market.clouds.regions import region_group
from necto_pipelines.model.offer import CloudPrice
from necto_pipelines.model.tables import CLOUD_PRICES

LEAST_SHARE: Final = 0.7
"""of a median or of the reference. Clouds' regions differ by up to a quarter; a wrong rate is a third off or more"""
LEAST_SHARES_OF_OLDER: Final = {("H100-80GB", "H200-141GB"): LEAST_SHARE, ("T4-16GB", "L4-24GB"): LEAST_SHARE}
"""of the older card's price, where newer ones do sell for less: Azure's H200 machines are up to 26 % under its H100
machines (japaneast, 2026-06-18), and GCP's L4 come with half the cores of its T4. Elsewhere it is the whole price."""
FEWEST_REGIONS: Final = 3
"""a median of fewer says nothing about which of them is wrong"""
CHEAPEST_USD, DEAREST_USD = Decimal("0.001"), Decimal(100)
"""USD per GPU-hour that a cloud or marketplace may ask: the dearest of the clouds asks 18 (reference, 2026-11-22)"""
ROUNDING: Final = 1.001
"""lists round spot prices to four decimals: 45.3885 beside 45.38848 is the same price"""
AT_MOST_YEARS_APART: Final = 1
"""list prices are cut by a third and more within a few years, so older figures are not measured by the reference"""

LADDERS: Final[tuple[tuple[str, ...], ...]] = (
    ("A100-40GB", "A100-80GB", "H100-80GB", "H200-141GB", "B200-192GB", "B300-288GB"),
    ("T4-16GB", "L4-24GB", "L40S-48GB"),
    ("V100-16GB", "V100-32GB"),
)
"""Cards of which each is better than those before it in every respect, by their makers' data sheets.

V100 does not stand before A100: AWS cut its A100 prices in 2025 and left V100 where it was. H100-94GB (the PCIe card of
Azure's NC machines) costs half of H100-80GB (SXM), P4 more than T4, A10G more than L4: no order there.
"""

FAULTS: Final = {"row": "int64", "rule": "object", "reason": "object"}
Reasons = dict[int, str]
Rule = Callable[[pd.DataFrame, pd.Series], Reasons]


def judge(claims: pd.DataFrame, *, reference: pd.DataFrame | None = None, one_list: bool = True) -> pd.DataFrame:
    """What is wrong with `claims` (columns of `CLAIMS`), as rows of (row number, rule, reason); none means all stand.

    `reference` (columns of `CLOUD_PRICES`) switches on the comparison with it. `one_list` False is for marketplaces,
    whose rows are offers of many sellers: those owe no consistency to each other, so each is judged by itself.
    """
    rows = _numbers(claims)
    rules: dict[str, Rule] = {"no price": _no_price, "spot above on-demand": _spot_above}
    if reference is not None:
        known = _reference(reference)
        rules["far from the reference"] = lambda rows, _: _off_reference(rows, known)
    if one_list:
        rules |= {"far under its regions": _under_regions, "newer under older": _under_older}
    sound = pd.Series(data=True, index=rows.index)
    faults: list[tuple[int, str, str]] = []
    for name, rule in rules.items():
        reasons = rule(rows, sound)
        faults += [(row, name, reason) for row, reason in reasons.items()]
        sound[list(reasons)] = False
    return pd.DataFrame(faults, columns=list(FAULTS)).astype(FAULTS)


def screen(
    claims: Sequence[PriceClaim], *, reference: Sequence[CloudPrice] = (), one_list: bool = True
) -> tuple[tuple[CloudPrice, ...], tuple[tuple[str, str], ...]]:
    """The claims that stand, as prices, and the others as (what, reason): none is dropped without a word.

    A machine gets one price per region: the cheapest that stands, where its zones differ. Prices that no GPU comes near
    are set aside before any are compared: where a machine has few regions nothing else would give them away.
    """
    absurd = tuple((claim.label, reason) for claim in claims if (reason := _absurd(claim)))
    claims = [claim for claim in claims if not _absurd(claim)]
    known = CLOUD_PRICES.frame(reference) if reference else None
    faults = judge(CLAIMS.frame(claims), reference=known, one_list=one_list)
    reasons: dict[int, list[str]] = {}
    for row, reason in zip(faults["row"], faults["reason"], strict=True):
        reasons.setdefault(row, []).append(reason)
    quarantined = (*absurd, *((claims[row].label, "; ".join(why)) for row, why in reasons.items()))
    prices: dict[tuple[str, str], CloudPrice] = {}
    for number, claim in enumerate(claims):
        if number in reasons:
            continue
        price = claim.price()
        standing = prices.get((price.instance, price.region))
        if standing is None or price.usd_per_hour < standing.usd_per_hour:
            prices[price.instance, price.region] = price
    return tuple(prices.values()), quarantined


def _absurd(claim: PriceClaim) -> str:
    if not claim.usd_per_hour or claim.usd_per_hour < 0:
        return ""
    usd = claim.usd_per_hour / claim.gpu_count
    if CHEAPEST_USD <= usd <= DEAREST_USD:
        return ""
    return f"{usd:.6g} USD per GPU-hour: {CHEAPEST_USD} to {DEAREST_USD} can be believed"


def _no_price(rows: pd.DataFrame, _: pd.Series) -> Reasons:
    missing = rows[~(rows["price"] > 0)]
    return {
        row: "no price" if np.isnan(price) else f"a price of {price:g} USD per hour"
        for row, price in zip(missing.index, missing["price"], strict=True)
    }


def _spot_above(rows: pd.DataFrame, _: pd.Series) -> Reasons:
    reasons: Reasons = {}
    for what, spot, price in (("machine", "spot", "price"), ("GPUs", "gpus_spot", "gpus")):
        above = rows[(rows[spot] > 0) & (rows[price] > 0) & (rows[spot] > rows[price] * ROUNDING)]
        reasons |= {
            row: f"spot price of the {what}, {there:.5g}, is above the on-demand price, {here:.5g} USD per hour"
            for row, there, here in zip(above.index, above[spot], above[price], strict=True)
        }
    return reasons


def _off_reference(rows: pd.DataFrame, known: pd.DataFrame) -> Reasons:
    """Rows far off the reference in their region; where it has not the region, far under its cheapest one."""
    machine = ["cloud", "instance"]
    beside = rows.merge(known, how="left", on=[*machine, "region"], suffixes=("", "_known"))
    cheapest = known.loc[known.groupby(machine)["price"].idxmin(), [*machine, "price", "year"]]
    beside = beside.merge(cheapest, how="left", on=machine, suffixes=("", "_cheapest"))
    exact = beside["price_known"].notna()
    usual = beside["price_known"].fillna(beside["price_cheapest"])
    year = beside["year_known"].fillna(beside["year_cheapest"])
    low = beside["price"] < usual * LEAST_SHARE
    high = exact & (beside["price"] > usual / LEAST_SHARE)
    off = (low | high) & (beside["price"] > 0) & ((beside["year"] - year).abs() <= AT_MOST_YEARS_APART)
    return {
        row: f"{beside['price'][row]:.5g} USD per hour is over 30 % {'under' if low[row] else 'above'} our reference, "
        f"{usual[row]:.5g}" + ("" if exact[row] else " in the cheapest region")
        for row in beside.index[off]
    }


def _under_regions(rows: pd.DataFrame, sound: pd.Series) -> Reasons:
    """Rows far under the median of their machine. A cheap region (`level` under 1) may be cheaper by as much."""
    machine = ["cloud", "instance", "gpu_count"]
    regions = rows[sound].drop_duplicates([*machine, "region", "unit"]).groupby(machine)
    usual = pd.DataFrame({"usual": regions["unit"].median(), "regions": regions["region"].nunique()})
    beside = rows.join(usual, on=machine)
    least = beside["usual"] * LEAST_SHARE * beside["level"].fillna(1).clip(upper=1)
    low = beside[(beside["unit"] < least) & (beside["unit"] > 0) & (beside["regions"] >= FEWEST_REGIONS)]
    return {
        row: f"{unit:.5g} USD per GPU-hour is over 30 % under the median over {regions} regions, {usual:.5g}"
        for row, unit, usual, regions in zip(low.index, low["unit"], low["usual"], low["regions"], strict=True)
    }


def _under_older(rows: pd.DataFrame, sound: pd.Series) -> Reasons:
    """Rows under the cheapest machine with as many GPUs of an older card: in their region, else in their part of the
    world."""
    pairs = [(old, new) for ladder in LADDERS for at, new in enumerate(ladder) for old in ladder[:at]]
    replaced = pd.DataFrame(pairs, columns=["older", "gpu_key"])
    replaced["share"] = [LEAST_SHARES_OF_OLDER.get(pair, 1.0) for pair in pairs]
    beside = rows.reset_index(names="row").merge(replaced, on="gpu_key")
    for area in ("region", "part_of_world"):
        place = ["cloud", area, "gpu_count"]
        cheapest = rows[sound].groupby([*place, "gpu_key"])["unit"].min().rename(f"in_{area}").reset_index()
        beside = beside.merge(cheapest.rename(columns={"gpu_key": "older"}), how="left", on=[*place, "older"])
    beside["older_unit"] = beside["in_region"].fillna(beside["in_part_of_world"])
    low = beside[(beside["unit"] > 0) & (beside["unit"] < beside["older_unit"] * beside["share"])]
    worst = low.sort_values("older_unit").drop_duplicates("row", keep="last")
    return {
        row: f"{unit:.5g} USD per GPU-hour is under that of the older {older}, {older_unit:.5g}"
        for row, unit, older, older_unit in zip(
            worst["row"], worst["unit"], worst["older"], worst["older_unit"], strict=True
        )
    }


def _numbers(claims: pd.DataFrame) -> pd.DataFrame:
    """The claims as floats, numbered from 0. `unit` is what is compared between rows: USD per GPU-hour, of the GPUs
    alone where the source prices them apart."""
    table = CLAIMS.arrow(claims)
    rows = _texts(table, ("cloud", "instance", "gpu_key", "region"))
    rows["gpu_count"] = table["gpu_count"].to_numpy()
    rows["year"] = _years(table["as_of"])
    for name, column in _COLUMNS.items():
        rows[name] = _floats(table[column])
    rows["unit"] = rows["gpus"].where(rows["gpus"] > 0, rows["price"]) / rows["gpu_count"]
    rows["part_of_world"] = rows["region"].map(region_group).astype("str")
    return rows


_COLUMNS: Final[Mapping[str, str]] = {
    "price": "usd_per_hour",
    "spot": "spot_usd_per_hour",
    "gpus": "gpus_usd_per_hour",
    "gpus_spot": "gpus_spot_usd_per_hour",
    "level": "region_level",
}


def _reference(reference: pd.DataFrame) -> pd.DataFrame:
    table = CLOUD_PRICES.arrow(reference)
    rows = _texts(table, ("cloud", "instance", "region"))
    rows["price"], rows["year"] = _floats(table["usd_per_hour"]), _years(table["as_of"])
    return rows.drop_duplicates(["cloud", "instance", "region"])


def _texts(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(table[name].to_pylist(), dtype="str") for name in names})


def _floats(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.float64()).to_numpy()


def _years(column: pa.ChunkedArray) -> list[float]:
    return [float(text[:4]) if text[:4].isdigit() else float("nan") for text in column.to_pylist()]
