"""How fast a network's answer becomes a table: bytes -> checked rows -> `Offer` -> frame -> Arrow."""

import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Extent, Measurement, compare, seconds
from sandbox import running_sandbox

from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.tables import OFFERS
from necto_pipelines.networks.akash.catalog import offers_of


def measure_catalog(extent: Extent) -> list[Measurement]:
    """Normalising `extent.offers` offers, against reading the same JSON and writing the finished table as Parquet."""
    providers, prices = market_of(extent.offers)
    table = _normalised(providers, prices)

    def least_work() -> None:
        json.loads(providers.body)
        json.loads(prices.body)
        pq.write_table(table, io.BytesIO(), compression="zstd")

    size = (len(providers.body) + len(prices.body)) / 2**20
    return [
        compare(
            "catalog_normalisation",
            f"{table.num_rows:,} offers from {size:.0f} MiB of the network's JSON to an Arrow table",
            lambda: seconds(lambda: _normalised(providers, prices)),
            "json.loads of the same bytes, and writing the table as Parquet",
            lambda: seconds(least_work),
            unit="s",
            repetitions=extent.repetitions,
        )
    ]


def market_of(offers: int) -> tuple[RawAnswer, RawAnswer]:
    """Answers that hold at least `offers` offers: the sandbox's market, which is as the real one, many times over.

    Each round has the same providers and bids under other addresses, with those that offer nothing, as in real lists.
    """
    clock = FrozenClock()
    with running_sandbox(clock) as port:
        base = f"http://127.0.0.1:{port}/akash/v1"
        providers: list[dict[str, Any]] = httpx.get(f"{base}/providers").json()
        prices: dict[str, Any] = httpx.get(f"{base}/gpu-prices", params={"debug": "true"}).json()

    def answers(rounds: int) -> tuple[RawAnswer, RawAnswer]:
        rows = [_renamed(row, number) for number in range(rounds) for row in providers]
        models = [model | {"providersWithBestBid": _bids(model, rounds)} for model in prices["models"]]
        return _answer(f"{base}/providers", rows, clock), _answer(f"{base}/gpu-prices", {"models": models}, clock)

    in_one = len(offers_of(*answers(1), mode=SourceMode.SANDBOX).rows)
    return answers(-(-offers // in_one))


def _bids(model: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    bids = model.get("providersWithBestBid", [])
    return [bid | {"provider": _renamed(bid["provider"], number)} for number in range(rounds) for bid in bids]


def _renamed(row: dict[str, Any], number: int) -> dict[str, Any]:
    return row | {"owner": f"{row['owner'][:-6]}{number:06d}"}


def _answer(url: str, document: object, clock: FrozenClock) -> RawAnswer:
    return raw_answer(url, json.dumps(document, separators=(",", ":")).encode(), clock)


def _normalised(providers: RawAnswer, prices: RawAnswer) -> pa.Table:
    return OFFERS.arrow(OFFERS.frame(offers_of(providers, prices, mode=SourceMode.SANDBOX).rows))
