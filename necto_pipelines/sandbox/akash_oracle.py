"""The chain's price oracle and its burn-mint module, as its REST interface shows them.

GET /akash/oracle/v2/prices, /akash/oracle/v2/aggregated_price/{denom}, /akash/bme/v1/status, /params and /ledger.
Shapes: akash-network/chain-sdk @55f1c6837f99 (oracle v2, bme v1) and console packages/http-sdk/src/bme; rules: AEP-80
(an aggregate is kept only while it is healthy; staleness 30 s, one source enough) and AEP-76. The ledger shows the
mints of the simulated rail, which executes at once. The collateral ratio is made up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from necto_pipelines.model.clock import rfc3339
from necto_pipelines.sandbox.addresses import address_of
from necto_pipelines.sandbox.answers import answer
from necto_pipelines.sandbox.rail import MINT_SPREAD_BPS, Swap
from necto_pipelines.sandbox.seeded import whole
from necto_pipelines.sandbox.world import World

STALENESS = timedelta(seconds=30)
WARN, HALT = Decimal("0.95"), Decimal("0.90")
RECORDS = 10
"""blocks of history that `prices` shows"""
_PAGE = 100


def akash_oracle_routes(world: World) -> list[Route]:
    """The routes, relative to the chain's REST host."""

    async def aggregated_price(request: Request) -> Response:
        denom = request.path_params["denom"]
        # The chain takes the micro-denomination too and answers with the whole one.
        denom = {"uakt": "akt", "uact": "act"}.get(denom, denom)
        now = world.now()
        usd = Decimal(1) if denom == "act" else _akt_usd(world, now) if denom == "akt" else None
        if usd is None:
            return _lcd_error(5, f"price not found for {denom}", 404)
        return answer(
            {"aggregated_price": _aggregate(world, denom, usd, now), "price_health": _health(world, denom, now)}
        )

    async def prices(request: Request) -> Response:
        now = world.now()
        asked = request.query_params.get("filters.asset_denom", "akt")
        usd = _akt_usd(world, now) if asked in ("akt", "uakt") else None
        newest = world.blocks.height_at(_published(world, now))
        heights = range(newest, newest - RECORDS, -1) if usd is not None else ()
        rows = [_record(world, height) for height in heights]
        return answer({"prices": rows, "pagination": {"next_key": None, "total": str(len(rows))}})

    async def status(_: Request) -> Response:
        healthy = _healthy(world, world.now())
        ratio = Decimal(whole(160, 185, world.seed, "collateral")) / 100
        return answer(
            {
                "status": "mint_status_healthy" if healthy else "mint_status_halt_oracle",
                "collateral_ratio": _dec(ratio),
                "warn_threshold": _dec(WARN),
                "halt_threshold": _dec(HALT),
                "mints_allowed": healthy,
                "refunds_allowed": healthy,
            }
        )

    async def params(_: Request) -> Response:
        return answer(
            {
                "params": {
                    "circuit_breaker_warn_threshold": int(WARN * 10_000),
                    "circuit_breaker_halt_threshold": int(HALT * 10_000),
                    "min_epoch_blocks": "10",
                    "epoch_blocks_backoff_percent": 10,
                    "mint_spread_bps": MINT_SPREAD_BPS,
                    "settle_spread_bps": 0,
                    "max_endblocker_records": 50,
                }
            }
        )

    async def ledger(request: Request) -> Response:
        world.now()
        query = request.query_params
        mints = [swap for swap in world.rail.state.swaps.values() if swap.to_asset == "ACT"]
        rows = [row for row in _ledger(world, mints) if _asked_for(row, query)]
        first, limit = _number(query.get("pagination.offset"), 0), _number(query.get("pagination.limit"), _PAGE)
        page = rows[first : first + limit]
        return answer({"records": page, "pagination": {"next_key": None, "total": str(len(rows))}})

    return [
        Route("/akash/oracle/v2/aggregated_price/{denom}", aggregated_price),
        Route("/akash/oracle/v2/prices", prices),
        Route("/akash/bme/v1/status", status),
        Route("/akash/bme/v1/params", params),
        Route("/akash/bme/v1/ledger", ledger),
    ]


def _akt_usd(world: World, now: datetime) -> Decimal | None:
    return world.feed.quote("akash-oracle", "AKT", now)


def _published(world: World, now: datetime) -> datetime:
    """When a source last sent a price: with every block, until the feed stops."""
    return world.feed.state.frozen_at or now


def _healthy(world: World, now: datetime) -> bool:
    return now - _published(world, now) <= STALENESS and _akt_usd(world, now) is not None


def _aggregate(world: World, denom: str, usd: Decimal, now: datetime) -> dict[str, Any]:
    kept_at = now if _healthy(world, now) else _published(world, now) + STALENESS
    return {
        "denom": denom,
        "twap": _dec(usd),
        "median_price": _dec(usd),
        "min_price": _dec(usd),
        "max_price": _dec(usd),
        "timestamp": rfc3339(world.blocks.time_of(world.blocks.height_at(kept_at))),
        "num_sources": 1,
        "deviation_bps": "0",
    }


def _health(world: World, denom: str, now: datetime) -> dict[str, Any]:
    healthy = denom == "act" or _healthy(world, now)
    return {
        "denom": denom,
        "is_healthy": healthy,
        "has_min_sources": healthy,
        "deviation_ok": True,
        "total_sources": 1,
        "total_healthy_sources": int(healthy),
        "failure_reason": [] if healthy else ["insufficient price sources: 0 < 1"],
    }


def _record(world: World, height: int) -> dict[str, Any]:
    moment = world.blocks.time_of(height)
    usd = world.feed.quote("akash-oracle", "AKT", moment)
    return {
        "id": {"source": 1, "denom": "akt", "base_denom": "usd", "timestamp": rfc3339(moment), "sequence": "0"},
        "state": {"price": _dec(usd or Decimal(0))},
    }


def _ledger(world: World, mints: Sequence[Swap]) -> list[dict[str, Any]]:
    """The mints as ledger records, oldest first; `sequence` counts within a block."""
    seen: dict[int, int] = {}
    rows = []
    for swap in mints:
        height = world.blocks.height_at(swap.executed_at)
        seen[height] = seen.get(height, 0) + 1
        rows.append(_ledger_record(world, swap, height, seen[height]))
    return rows


def _ledger_record(world: World, swap: Swap, height: int, sequence: int) -> dict[str, Any]:
    module = address_of(world.seed, "bme module")
    price = Decimal(swap.to_units) / (swap.from_units - swap.fee_units)
    return {
        "id": {
            "denom": "uakt",
            "to_denom": "uact",
            "source": world.owner,
            "height": str(height),
            "sequence": str(sequence),
        },
        "status": "ledger_record_status_executed",
        "pending_record": None,
        "executed_record": {
            "burned_from": world.owner,
            "minted_to": world.owner,
            "burner": module,
            "minter": module,
            "burned": {"coin": {"denom": "uakt", "amount": str(swap.from_units)}, "price": _dec(price)},
            "minted": {"coin": {"denom": "uact", "amount": str(swap.to_units)}, "price": _dec(Decimal(1))},
            "spread": {"denom": "uakt", "amount": str(swap.fee_units)},
            "remint_credit_issued": None,
            "remint_credit_accrued": None,
        },
    }


def _asked_for(row: dict[str, Any], query: Any) -> bool:
    """The filters that the ledger knows; an absent one lets everything through."""
    known = {"source": row["id"]["source"], "denom": row["id"]["denom"], "to_denom": row["id"]["to_denom"]}
    known["status"] = row["status"]
    return all(query.get(f"filters.{name}", value) == value for name, value in known.items())


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _dec(value: Decimal) -> str:
    """A decimal as the chain writes it: eighteen places."""
    return f"{value:.18f}"


def _lcd_error(code: int, message: str, status: int) -> Response:
    return answer({"code": code, "message": message, "details": []}, status)
