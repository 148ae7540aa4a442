"""Hold the money, then turn stablecoin into what the network is paid with; each swap journalled before it is made."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final

from necto_pipelines.books.books import Actor, new_id
from necto_pipelines.failures import Refused, Stale, Unknown
from necto_pipelines.market.oracles import fresh_price
from necto_pipelines.market.rails import Swap
from necto_pipelines.model.clock import parse_rfc3339, rfc3339
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.lease import Conversion, EffectState
from necto_pipelines.model.money import from_micro, to_micro
from necto_pipelines.model.offer import TokenPrice
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.ceilings import MINIMUM_MINT_UACT, ceiling_of, conversion_share, may_be_freed
from necto_pipelines.procurement.deciding import EXHAUSTED, OVER_BUDGET, choice_of, retry_at
from necto_pipelines.procurement.ending import give_back
from necto_pipelines.procurement.remaining import locked_uact, rest_of, used_on
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.routing.matching import expected_usd

SWAP_MARGIN: Final = Decimal("1.01")
"""stablecoin is changed with this margin over the reference rate, so that fees and slippage leave enough ACT"""
PEG_BAND: Final = Decimal("0.005")
"""USDC further than this from one dollar halts payments"""


def hold(runtime: Runtime, order: Order, actor: Actor) -> None:
    """Reserve the ceiling of a routed order in its cost centre's budget.

    Refused when the budget could not cover it even if all that is held in it came back; otherwise the order waits.

    What an order has used already stays held beside the ceiling for the rest of its job, so that both together never
    exceed its own budget. An order whose budget was used up in the meantime is refused (`budget_exhausted`).
    """
    chosen, rest = choice_of(runtime, order)[1], rest_of(runtime, order)
    share = conversion_share(runtime.networks[chosen.network])
    if rest is not order and expected_usd(rest, chosen.usd_per_gpu_hour, share) > rest.request.budget_usd:
        _refuse(runtime, order, f"{EXHAUSTED}: {max(rest.request.budget_usd, Decimal(0))} USD is left", actor)
        return
    ceiling = ceiling_of(rest, chosen.usd_per_gpu_hour, share)
    if ceiling.usd_per_hour <= 0:
        reason = f"{OVER_BUDGET if rest is order else EXHAUSTED}: {rest.request.budget_usd} USD do not pay for"
        _refuse(runtime, order, f"{reason} the least conversion and the rounding of its cost", actor)
        return
    usd = ceiling.hold_usd
    if rest is not order:
        usd += used_on(runtime, order)
    standing = runtime.books.hold(order.id)
    short = standing is None or standing.state != "held" or standing.usd < usd
    try:
        with runtime.books.change(actor) as change:
            if short or rest is not order:
                change.hold(order.id, usd)
            change.move_order(order.id, OrderState.HELD)
    except Refused as refusal:
        # The plan kept within the budget: another run has taken of it meanwhile, and may give back.
        if may_be_freed(runtime.books.budget(order.request.cost_centre), usd):
            reason, later = f"{Refusal.COST_CENTRE}: {refusal}", retry_at(runtime, order)
            with runtime.books.change(actor) as change:
                change.move_order(order.id, OrderState.WAITING, reason=reason, next_attempt_at=later)
            return
        _refuse(runtime, order, f"{OVER_BUDGET if rest is order else EXHAUSTED}: {refusal}", actor)


def _refuse(runtime: Runtime, order: Order, reason: str, actor: Actor) -> None:
    with runtime.books.change(actor) as change:
        change.move_order(order.id, OrderState.REFUSED, reason=reason)
        give_back(change, order.id)


def fund(runtime: Runtime, order: Order, actor: Actor) -> None:
    """Convert USDC -> AKT -> ACT until the deposit is covered, then mark the held order funded.

    A network that charges an account in dollars needs no conversion.

    What was converted for this order before (an earlier attempt) counts, less what its leases have used of it or still
    lock at a network that does not answer. A stale or missing token price, or USDC off
    its peg, raises `Stale`: nothing is paid, and the order waits with that reason.
    """
    chosen = choice_of(runtime, order)[1]
    share = conversion_share(runtime.networks[chosen.network])
    needed = to_micro(ceiling_of(rest_of(runtime, order), chosen.usd_per_gpu_hour, share).deposit_usd)
    made = runtime.books.conversions(order.id)
    short = needed - sum(c.to_units for c in made if c.to_asset == "ACT") + locked_uact(runtime, order.id)
    if short > 0 and runtime.networks[chosen.network].paid_in == "ACT":
        prices = _prices(runtime)
        # AKT bought by a run that was killed before it minted ACT is used up first, never bought twice.
        akt = sum(c.to_units for c in made if c.to_asset == "AKT") - sum(
            c.from_units for c in made if c.from_asset == "AKT"
        )
        if akt == 0:
            akt = _swap(runtime, order, "USDC", "AKT", _usdc_for(max(short, MINIMUM_MINT_UACT), prices), prices, actor)
        _swap(runtime, order, "AKT", "ACT", akt, prices, actor)
    with runtime.books.change(actor) as change:
        change.move_order(order.id, OrderState.FUNDED)


def _prices(runtime: Runtime) -> dict[str, TokenPrice]:
    listing = runtime.oracle.prices(["AKT", "USDC"])
    for answer in listing.raw:
        runtime.warehouse.write_raw(answer.body)
    now, limit = runtime.clock.now(), runtime.settings.token_price_max_age_s
    prices = {token: fresh_price(listing, token, now=now, max_age_s=limit) for token in ("AKT", "USDC")}
    if abs(prices["USDC"].usd - 1) > PEG_BAND:
        raise Stale(
            f"usdc_off_peg: USDC stands at ${prices['USDC'].usd}, payments halt beyond {PEG_BAND:%} of a dollar"
        )
    return prices


def _usdc_for(uact: int, prices: dict[str, TokenPrice]) -> int:
    return int((uact * SWAP_MARGIN / prices["USDC"].usd).to_integral_value(rounding=ROUND_CEILING))


def _swap(
    runtime: Runtime, order: Order, sell: str, buy: str, units: int, prices: dict[str, TokenPrice], actor: Actor
) -> int:
    """Swap `units` of `sell` once, whatever happened before; returns the units of `buy` received."""
    pair = f"{order.id}/swap/{sell}-{buy}/"
    ended = [e for e in runtime.books.effects(order.id) if e.key.startswith(pair) and e.state is not EffectState.INTENT]
    key = f"{pair}{len(ended) + 1}"
    facts = _facts(sell, buy, units, prices)
    with runtime.books.change(actor) as change:
        effect, begun = change.begin_effect(key, "swap", order.id, order.attempt, {"client_id": key, **facts})
    known = None if begun else runtime.rail.find(key)
    # A swap that a killed run may have sent keeps its id and amount: the venue takes each id once.
    try:
        swap = known or _swap_once(runtime, key, sell, buy, int(str(effect.request["from_units"])))
    except Refused as refusal:
        with runtime.books.change(actor) as change:
            change.end_effect(key, EffectState.FAILED, {"code": refusal.code})
        raise
    runtime.warehouse.write_raw(swap.raw.body)
    conversion = _conversion(runtime, order, swap, effect.request if known else facts)
    with runtime.books.change(actor) as change:
        change.record_conversion(conversion)
        change.end_effect(key, EffectState.DONE, {"venue_ref": swap.ref, "to_units": swap.to_units})
    return swap.to_units


def _facts(sell: str, buy: str, units: int, prices: dict[str, TokenPrice]) -> dict[str, object]:
    """What a swap was reckoned with, as text and integers, to stand in the journal before it is made."""
    akt = prices["AKT"]
    from_usd = prices[sell].usd
    to_usd = akt.usd if buy == "AKT" else Decimal(1)  # ACT is one dollar by protocol (AEP-76)
    return {
        "from_units": units,
        "from_usd": str(from_usd),
        "to_usd": str(to_usd),
        "price_source": akt.source,
        "price_published_at": rfc3339(akt.published_at),
        "price_sha256": akt.raw_sha256,
    }


def _swap_once(runtime: Runtime, client_id: str, sell: str, buy: str, units: int) -> Swap:
    try:
        return runtime.rail.swap(client_id, sell, buy, units)
    except Unknown:
        # The reply was lost. The venue knows our id: it happened exactly when it is listed there.
        if found := runtime.rail.find(client_id):
            return found
        raise


def _conversion(runtime: Runtime, order: Order, swap: Swap, facts: Mapping[str, object]) -> Conversion:
    from_usd, to_usd = Decimal(str(facts["from_usd"])), Decimal(str(facts["to_usd"]))
    fee_usd = from_micro(swap.fee_units) * from_usd
    given_usd, got_usd = from_micro(swap.from_units) * from_usd, from_micro(swap.to_units) * to_usd
    return Conversion(
        id=new_id("cnv", runtime.clock),
        order_id=order.id,
        attempt=order.attempt,
        at=swap.executed_at,
        from_asset=swap.from_asset,
        from_units=swap.from_units,
        from_decimals=6,
        to_asset=swap.to_asset,
        to_units=swap.to_units,
        to_decimals=6,
        rate_reference=round(from_usd / to_usd, 18),
        rate_executed=round(Decimal(swap.to_units) / swap.from_units, 18),
        price_source=str(facts["price_source"]),
        price_published_at=parse_rfc3339(str(facts["price_published_at"])),
        price_sha256=str(facts["price_sha256"]),
        venue=runtime.rail.name,
        venue_ref=swap.ref,
        fee_usd=fee_usd,
        slippage_usd=given_usd - fee_usd - got_usd,
        mode=runtime.rail.mode,
    )
