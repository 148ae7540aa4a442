"""The steps from an empty home to a verified invoice, whoever carries them out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources

from necto_pipelines.clock import SandboxClock
from necto_pipelines.failures import InvalidInput, PermanentFailure, Problem
from necto_pipelines.journey.drivers import Driver
from necto_pipelines.journey.steps import Steps
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.money import plain
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import PENDING_ORDERS, OrderState
from necto_pipelines.procurement.order_document import read_order
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.procurement.submission import submit
from necto_pipelines.settings import Settings

SPEED = 10.0
"""how much faster than real time the sandbox runs during the journey: bids come in seconds, not in half a minute"""
BUDGET_USD = Decimal(500)


@dataclass(frozen=True)
class Carried:
    """What the journey brought about."""

    order: Order
    invoice: Invoice
    verified: bool


def demonstration_order() -> OrderRequest:
    """The order that the journey carries, from the package."""
    return read_order(resources.files("necto_pipelines.journey").joinpath("order.yaml").read_text())


def require_sandbox(settings: Settings) -> None:
    """InvalidInput when a network is live: the demonstration moves simulated time and would leave a real lease open."""
    live = {"NECTO_AKASH_MODE": settings.akash_mode, "NECTO_DISPERSED_MODE": settings.dispersed_mode}
    allowed = "the demonstration order is for the sandbox only: unset it (live: docs/operations/settings.md)"
    if problems := [Problem(name, mode, allowed) for name, mode in live.items() if mode != "sandbox"]:
        raise InvalidInput(problems)


def start_clock(clock: SandboxClock, hours: Decimal) -> None:
    """Begin simulated time as far back as the journey lasts, so that it ends about now and not in the future.

    It never begins before the month does: an order of the demonstration is billed in one month.
    """
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    clock.start_at(max(now - timedelta(hours=float(hours), minutes=45), month))


def carry_order(runtime: Runtime, driver: Driver, clock: SandboxClock, steps: Steps) -> Carried:
    """Submit the demonstration order, or take up one that was interrupted, and see it through to its invoice."""
    request = demonstration_order()
    clock.set_speed(SPEED)
    with steps.step("Submit an order") as note:
        order = _interrupted(runtime, request) or _submitted(runtime, request)
        need = request.requirement
        note(f"{request.name}: {need.gpu.model} for {need.hours} h, at most ${request.budget_usd:.2f}")
    with steps.step("Route, pay, place, confirm") as note:
        order = driver.until(runtime, order.id, {OrderState.ACTIVE, OrderState.REFUSED, OrderState.FAILED}, 300)
        if order.state is not OrderState.ACTIVE:
            raise PermanentFailure(f"order {order.id} was {order.state}: {order.reason}")
        lease = runtime.books.leases(order_id=order.id)[-1]
        note(f"{lease.gpu_key} at {lease.provider_name} ({lease.country}), ${lease.usd_per_hour:.4f}/h")
    with steps.step(f"The job runs {request.requirement.hours} h") as note:
        if lease.ends_at and (left := (lease.ends_at - clock.now()).total_seconds()) > 0:
            clock.advance(left)
        note("the sandbox clock was moved forward: simulated time")
    with steps.step("Close and settle") as note:
        order = driver.until(runtime, order.id, {OrderState.COMPLETED, OrderState.FAILED}, 180)
        lease = runtime.books.leases(order_id=order.id)[-1]
        note(
            f"{plain(lease.settled_native or Decimal(0))} {lease.native_unit.split('/')[0]} paid to the provider in all"
        )
    clock.set_speed(1.0)
    if (behind := (datetime.now(UTC) - clock.now()).total_seconds()) > 0:
        clock.advance(behind)
    with steps.step("Invoice") as note:
        month = f"{lease.closed_at:%Y-%m}"
        driver.run("bill_month", partition=month)
        invoice = next(i for i in runtime.books.invoices(month=month) if any(x.order_id == order.id for x in i.lines))
        note(f"{invoice.number}: ${invoice.total_usd} in {len(invoice.lines)} lines")
    with steps.step("Refresh every asset again") as note:
        driver.run("refresh_all")
        note("time has moved on: the next order finds fresh offers")
    with steps.step("Seal the runs") as note:
        note(driver.seal(runtime))
    return Carried(order, invoice, verify_trail(runtime, steps))


def _interrupted(runtime: Runtime, request: OrderRequest) -> Order | None:
    """A demonstration that somebody stopped half-way: it is gone on with, for what it placed goes on costing."""
    open_orders = runtime.books.orders(states=[*PENDING_ORDERS, OrderState.ACTIVE])
    nameless = {"requested_by": ""}  # the books keep a pseudonym of who asked
    wanted = request.model_copy(update=nameless)
    return next((order for order in open_orders if order.request.model_copy(update=nameless) == wanted), None)


def _submitted(runtime: Runtime, request: OrderRequest) -> Order:
    actor = service("demonstration")
    with runtime.books.change(actor) as change:
        change.set_budget(request.cost_centre, BUDGET_USD)
    return submit(runtime.books, request, actor)


def verify_trail(runtime: Runtime, steps: Steps) -> bool:
    """Sign what is new and check the whole trail."""
    with steps.step("Verify the audit trail") as note:
        runtime.books.sign()
        verdict = runtime.books.verify()
        note(f"{verdict.size} entries, root {verdict.root.hex()[:16]}…, {'proved' if verdict.ok else 'BROKEN'}")
    return verdict.ok
