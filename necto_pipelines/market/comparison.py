"""The cheapest offer of each GPU against each cloud's cheapest on-demand machine with the same GPU.

Pure functions on tables. Where the prices come from stands in the networks' adapters and in `clouds.py`; which offer
an order gets is routing's business.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from necto_pipelines.model.tables import CLOUD_PRICES, OFFERS, PRICE_COMPARISON, TOKEN_PRICES, Table, records, to_frame

AKT: Final = "AKT"
USD_STEP: Final = Decimal("1E-12")
PERCENT_STEP: Final = Decimal("0.01")
_OFFER_ORDER: Final = ("usd_per_gpu_hour", "network", "provider", "offer_id")
_CLOUD_ORDER: Final = ("usd_per_gpu_hour", "gpu_count", "instance", "region")
"""cheapest first; among equals the smallest machine, then by name, so that the same prices give the same table"""


def compare(offers: pd.DataFrame, clouds: pd.DataFrame, tokens: pd.DataFrame) -> pd.DataFrame:
    """One row (`PRICE_COMPARISON`) for each GPU and each cloud that has exactly this GPU, ordered by GPU and cloud.

    Takes frames with the columns of `OFFERS`, `CLOUD_PRICES` (whole GPUs) and `TOKEN_PRICES`. List prices are compared
    with list prices: neither side promises capacity. `savings_pct` = 100 x (1 - offer / cloud), half-up to two
    decimals. A GPU that a cloud does not have gives no row.
    """
    cheapest = _first_by(OFFERS, offers, ("gpu_key",), _OFFER_ORDER)
    seen = offers["gpu_key"].value_counts()
    twins = _first_by(CLOUD_PRICES, clouds, ("gpu_key", "cloud"), _CLOUD_ORDER)
    pairs = cheapest.merge(twins, on="gpu_key", suffixes=("", "_cloud")).sort_values(["gpu_key", "cloud"])
    akt_usd = _akt_usd(tokens)
    rows = []
    for pair in records(pairs):
        offer_usd, cloud_usd = pair["usd_per_gpu_hour"], pair["usd_per_gpu_hour_cloud"]
        rows.append(
            {
                "gpu_key": pair["gpu_key"],
                "network": pair["network"],
                "provider": pair["provider"],
                "offers_seen": int(seen[pair["gpu_key"]]),
                "depin_usd_per_gpu_hour": offer_usd,
                "depin_akt_per_gpu_hour": (offer_usd / akt_usd).quantize(USD_STEP) if akt_usd else None,
                "price_basis": pair["price_basis"],
                "cloud": pair["cloud"],
                "cloud_instance": pair["instance"],
                "cloud_region": pair["region_cloud"],
                "cloud_usd_per_gpu_hour": cloud_usd,
                "cloud_as_of": pair["as_of"],
                "savings_pct": savings_pct(offer_usd, cloud_usd),
                "observed_at": pair["observed_at"],
                "mode": pair["mode"],
            }
        )
    return PRICE_COMPARISON.frame(rows)


def savings_pct(offer_usd: Decimal, cloud_usd: Decimal) -> Decimal:
    """What an offer saves against a cloud's price, percent, half-up to two decimals; negative when it costs more."""
    return (100 * (1 - offer_usd / cloud_usd)).quantize(PERCENT_STEP, rounding=ROUND_HALF_UP)


def _first_by(table: Table, frame: pd.DataFrame, keys: tuple[str, ...], order: tuple[str, ...]) -> pd.DataFrame:
    """The first row of each group of `keys` when sorted by `order`. Sorted by Arrow, which orders decimals exactly."""
    arrow: pa.Table = table.arrow(frame).sort_by([(name, "ascending") for name in (*keys, *order)])
    return to_frame(arrow).drop_duplicates(subset=list(keys))


def _akt_usd(tokens: pd.DataFrame) -> Decimal | None:
    """What the sources agree AKT is worth, else the newest price that counts; None when there is none."""
    rows: list[dict[str, Any]] = TOKEN_PRICES.arrow(tokens).to_pylist()
    akt = [row for row in rows if row["token"] == AKT and row["used"] is not False]
    best = max(akt, key=lambda row: (row["consensus"] is True, row["published_at"]), default=None)
    return best["usd"] if best else None
