"""The `procure` graph: pending orders in, leases out.

Thin ops over `procurement`: each says what it did in its metadata. A run may be killed at any point; the next run takes
its orders over and goes on from the books, never from what this run remembered.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from necto_pipelines.books.books import Actor
from necto_pipelines.model.decision import Candidate
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import OrderState
from necto_pipelines.procurement.deciding import FrozenInputs, route, screen
from necto_pipelines.procurement.funding import fund, hold
from necto_pipelines.procurement.procuring import StepResult, place_and_confirm, take_step
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.resources.manifests import planned_steps
from necto_pipelines.resources.runtime import RuntimeResource
from necto_pipelines.resources.snapshots import latest_snapshot

STEP_MEMORY = "step_memory"
"""IO manager between these ops: what they hand on is worth nothing to another process, which reads the books instead"""
TO_ROUTE = (OrderState.SUBMITTED, OrderState.WAITING)


class ProcureConfig(dg.Config):
    """Which orders to procure."""

    order_ids: list[str]
    """ids from `necto order list`; orders that another live run holds are left to it"""


@dataclass(frozen=True)
class Batch:
    """The orders of this run and the tables they are routed on."""

    order_ids: tuple[str, ...]
    inputs: FrozenInputs


@dataclass(frozen=True)
class Screened:
    """A batch with every candidate of every order that is to be routed."""

    batch: Batch
    candidates: dict[str, list[Candidate]]


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "procurement"})
def freeze_inputs(context: dg.OpExecutionContext, config: ProcureConfig, runtime: RuntimeResource) -> Batch:
    """Claim the orders and pin the tables they will be judged on, by the digests of their bytes."""
    necto, instance = runtime.get(), context.instance
    inputs = frozen_inputs(instance, necto)
    held = {order.run_id for order in necto.books.orders() if order.run_id and order.run_id != context.run_id}
    dead = {run_id for run_id in held if not (run := instance.get_run_by_id(run_id)) or run.is_finished}
    with necto.books.change(actor_of(context)) as change:
        change.start_run(planned_steps(instance, context.run), inputs=[pin.as_input for pin in inputs.pins])
        claimed = change.claim(config.order_ids, context.run_id, steal_from=dead)
    context.add_output_metadata(
        {"orders": len(claimed), "inputs": dg.MetadataValue.json([pin.model_dump(mode="json") for pin in inputs.pins])}
    )
    return Batch(tuple(order.id for order in claimed), inputs)


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "compliance"})
def screen_offers(context: dg.OpExecutionContext, runtime: RuntimeResource, batch: Batch) -> Screened:
    """Hold every order against every offer and provider; each refusal has a reason."""
    necto = runtime.get()
    candidates = screen(necto, _in_state(necto, batch, TO_ROUTE), batch.inputs)
    judged = [candidate for row in candidates.values() for candidate in row]
    context.add_output_metadata({"judged": len(judged), "fit": sum(not candidate.refusals for candidate in judged)})
    return Screened(batch, candidates)


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "routing"})
def route_orders(context: dg.OpExecutionContext, runtime: RuntimeResource, screened: Screened) -> Batch:
    """Choose the cheapest compliant offer for each order, all orders together, and record why."""
    necto, batch = runtime.get(), screened.batch
    orders = [order for order in _in_state(necto, batch, TO_ROUTE) if order.id in screened.candidates]
    decisions = route(necto, orders, screened.candidates, batch.inputs, actor_of(context))
    context.add_output_metadata(
        {
            "decisions": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "order": decision.order_id,
                            "chosen": decision.chosen.offer_id if decision.chosen else "none",
                            "provider": decision.chosen.provider_name if decision.chosen else "",
                            "expected_usd": str(decision.expected_usd),
                            "compliant": len(decision.ranked),
                            "refused": len(decision.candidates) - len(decision.ranked),
                        }
                    )
                    for decision in decisions
                ]
                or [dg.TableRecord({"order": "none to route"})]
            )
        }
    )
    return batch


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "finance"})
def hold_budget(context: dg.OpExecutionContext, runtime: RuntimeResource, batch: Batch) -> Batch:
    """Reserve each order's ceiling in its cost centre's budget, before anything is paid."""
    necto = runtime.get()
    _report(context, take_step(necto, batch.order_ids, [OrderState.ROUTED], hold, actor_of(context)))
    return batch


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "finance"})
def convert_stablecoin(context: dg.OpExecutionContext, runtime: RuntimeResource, batch: Batch) -> Batch:
    """USDC to AKT to ACT, at a fresh price, each swap once; a stale price lets the order wait."""
    necto = runtime.get()
    _report(context, take_step(necto, batch.order_ids, [OrderState.HELD], fund, actor_of(context)))
    return batch


@dg.op(out=dg.Out(io_manager_key=STEP_MEMORY), tags={"kind": "procurement"})
def place_leases(context: dg.OpExecutionContext, runtime: RuntimeResource, batch: Batch) -> Batch:
    """Create the deployment, take the cheapest compliant bid, send the manifest, and wait until the job runs."""
    necto = runtime.get()
    states = [OrderState.FUNDED, OrderState.PLACING]
    _report(context, take_step(necto, batch.order_ids, states, place_and_confirm, actor_of(context)))
    return batch


@dg.op(tags={"kind": "audit"})
def record_run(context: dg.OpExecutionContext, runtime: RuntimeResource, batch: Batch) -> None:
    """Give the claims back, write into the trail what the run did and sign a checkpoint over all of it."""
    necto = runtime.get()
    orders = [necto.books.order(order_id) for order_id in batch.order_ids]
    with necto.books.change(actor_of(context)) as change:
        for order in orders:
            if order.run_id == context.run_id:
                change.release(order.id)
        ended = Counter(order.state for order in orders)
        states = ",".join(f"{state}:{count}" for state, count in sorted(ended.items()))
        change.note("run.outcome", {"orders": len(orders), "states": states})
    necto.books.sign()
    leases = [lease for order in orders for lease in necto.books.leases(order_id=order.id)]
    context.log.info(
        "%d orders, %d leases, audit log at %d entries", len(orders), len(leases), necto.books.audit_size()
    )


@dg.graph
def procure_graph() -> None:
    """Pending orders in, leases out: every step of buying, in order."""
    record_run(place_leases(convert_stablecoin(hold_budget(route_orders(screen_offers(freeze_inputs()))))))


procure = procure_graph.to_job(
    name="procure",
    description="Routes all pending orders together, pays, places them and sees them run; started by a sensor.",
    executor_def=dg.in_process_executor,
    # A run that died is not repeated step by step: the sensor starts a new one, which goes on from the books.
    tags={"necto/flow": "procurement", "dagster/max_retries": "0"},
)


def frozen_inputs(instance: dg.DagsterInstance, necto: Runtime) -> FrozenInputs:
    """The newest usable tables that orders are judged on, with the pins that name their bytes."""
    snapshots = {
        asset: latest_snapshot(instance, necto.warehouse, asset)
        for asset in ("provider_catalog", "provider_evidence", "price_comparison")
    }
    frames = {asset: snapshot.frame for asset, snapshot in snapshots.items()}
    pins = tuple(snapshot.pin for snapshot in snapshots.values())
    return FrozenInputs(frames["provider_catalog"], frames["provider_evidence"], frames["price_comparison"], pins)


def _in_state(necto: Runtime, batch: Batch, states: Sequence[OrderState]) -> list[Order]:
    orders = [necto.books.order(order_id) for order_id in batch.order_ids]
    return [order for order in orders if order.state in states]


def actor_of(context: dg.OpExecutionContext) -> Actor:
    """Who a step of buying is in the trail, with its run."""
    return service("procurement", run_id=context.run_id, job=context.job_name, step=context.op.name)


def _report(context: dg.OpExecutionContext, result: StepResult) -> None:
    for order_id, reason in result.stopped:
        context.log.warning("%s stopped: %s", order_id, reason)
    stopped = dg.MetadataValue.json(dict(result.stopped))
    context.add_output_metadata({"advanced": len(result.advanced), "stopped": stopped})
