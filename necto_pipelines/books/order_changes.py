"""Changes to orders, decisions, effects and leases. Money is in `money_changes.py`, health in `watch_changes.py`."""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select

from necto_pipelines.books import tables
from necto_pipelines.books.columns import canonical, legible
from necto_pipelines.books.ids import new_id
from necto_pipelines.books.openings import PersonalValue
from necto_pipelines.books.recording import Recording, brief, columns_of
from necto_pipelines.failures import IllegalTransition, InvalidInput, PermanentFailure, Problem, Refused
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.lease import Effect, EffectState, Lease
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import (
    ORDER_STEPS,
    PENDING_ORDERS,
    LeaseState,
    OrderState,
    check_lease_step,
    check_order_step,
)

_LEASE_IDENTITY = {"id", "order_id", "decision_id", "attempt", "network", "state", "replaces"}


class OrderChanges(Recording):
    """What may happen to an order, its effects and its leases."""

    def submit(self, request: OrderRequest) -> Order:
        """Take an order in.

        Raises InvalidInput when the cost centre has no budget, or less is left of it than the order may cost, or when
        the deadline has passed.
        """
        budget, now = self.reads.budget(request.cost_centre), self._clock.now()
        problems = []
        if request.budget_usd > budget.available_usd:
            allowed = f"at most {budget.available_usd} is left in cost centre {request.cost_centre}"
            problems.append(Problem("budget_usd", f"{request.budget_usd:f}", allowed))
        if request.deadline is not None and request.deadline <= now:
            problems.append(
                Problem("deadline", rfc3339(request.deadline), f"it must be later than now, {rfc3339(now)}")
            )
        if problems:
            raise InvalidInput(problems)
        order_id = new_id("ord", self._clock)
        row = self._insert(
            tables.orders,
            {
                "id": order_id,
                "tenant": request.tenant,
                "cost_centre": request.cost_centre,
                "request": canonical(request.model_dump(mode="json", exclude={"requested_by"})),
                "state": OrderState.SUBMITTED,
                "reason": "",
                "submitted_at": now,
                "updated_at": now,
                "next_attempt_at": None,
                "attempt": 1,
                "run_id": None,
            },
        )
        personal = {}
        if request.requested_by:
            name = legible(request.requested_by)
            personal["requested_by"] = PersonalValue(name, person=name)
            person = {"order_id": order_id, "requested_by": self._openings.keys.pseudonym(name)}
            self._connection.execute(insert(tables.requesters).values(person))
        need = request.requirement
        body = {
            "tenant": request.tenant,
            "cost_centre": request.cost_centre,
            "budget_usd": f"{request.budget_usd:f}",
            "gpu_count": need.gpu.count,
            "hours": f"{need.hours:f}",
            "policy": request.policy.name,
        }
        self._leaf("order.submitted", {"order": order_id}, body, rows=[row], personal=personal)
        return self.reads.order(order_id)

    def claim(self, order_ids: Collection[str], run_id: str, *, steal_from: Collection[str] = ()) -> list[Order]:
        """Reserve orders for a run, and return those it now holds, in the order given.

        Passed over are orders that no run has anything to do for, and orders that another run holds, unless that run
        is known to be dead: `steal_from`.
        """
        claimed = []
        for order_id in order_ids:
            order = self.reads.order(order_id)
            if order.state not in PENDING_ORDERS or order.run_id not in (None, run_id, *steal_from):
                continue
            if order.run_id != run_id:
                body = {"run": run_id} | ({"taken_from": order.run_id} if order.run_id else {})
                order = self._change_order(order, "order.claimed", body, run_id=run_id)
            claimed.append(order)
        return claimed

    def release(self, order_id: str, *, reason: str | None = None, next_attempt_at: datetime | None = None) -> Order:
        """Give up the claim on an order and leave its state as it is; say why and until when, if there is a reason."""
        order = self._order_to_move(order_id)
        if order.run_id is None and reason is None and next_attempt_at is None:
            return order
        facts: dict[str, Any] = {"run_id": None, "next_attempt_at": next_attempt_at or order.next_attempt_at}
        if reason is not None:
            facts["reason"] = legible(reason)
        body = {"reason": brief(facts["reason"])} if reason else {}
        return self._change_order(order, "order.released", body, **facts)

    def move_order(
        self,
        order_id: str,
        to: OrderState,
        *,
        reason: str = "",
        next_attempt_at: datetime | None = None,
        new_attempt: bool = False,
    ) -> Order:
        """Take an order one step on; waiting and final states drop the claim.

        `reason` is for people and names none; `new_attempt` counts a further placement. Raises IllegalTransition for a
        step that `model/state.py` does not have, and Refused (`claimed_by_another_run`) for a run without the claim.
        """
        order = self._order_to_move(order_id)
        check_order_step(order_id, order.state, to)
        facts: dict[str, Any] = {
            "state": to,
            "reason": legible(reason),
            "next_attempt_at": next_attempt_at,
            "attempt": order.attempt + new_attempt,
        }
        if to is OrderState.WAITING or not ORDER_STEPS[to]:
            facts["run_id"] = None
        body = {"from": order.state, "to": to, "attempt": facts["attempt"]}
        if reason:
            body["reason"] = brief(facts["reason"])
        return self._change_order(order, "order.moved", body, **facts)

    def record_decision(self, decision: Decision) -> None:
        """Keep a routing decision whole; its leaf carries what was chosen, the counts, and what was read."""
        document = decision.model_dump(mode="json")
        row = self._record(
            tables.decisions,
            {
                "id": decision.id,
                "order_id": decision.order_id,
                "attempt": decision.attempt,
                "document": canonical(document),
            },
        )
        if row is None:
            return
        body: dict[str, Any] = {
            "attempt": decision.attempt,
            "strategy": decision.strategy,
            "candidates": len(decision.candidates),
            "ranked": len(decision.ranked),
            "expected_usd": f"{decision.expected_usd:f}",
        }
        if decision.chosen:
            body["chosen"] = decision.chosen.offer_id
            body["usd_per_gpu_hour"] = f"{decision.chosen.usd_per_gpu_hour:f}"
        self._leaf(
            "decision.recorded",
            {"order": decision.order_id, "decision": decision.id},
            body,
            rows=[row],
            inputs=[pin.as_input for pin in decision.inputs],
        )

    def begin_effect(
        self, key: str, kind: str, order_id: str, attempt: int, request: Mapping[str, object]
    ) -> tuple[Effect, bool]:
        """Write down an act on the outside world before it is tried.

        Returns the effect, and whether it was begun now: False means that somebody began it before, with the request
        that stands in the effect, and what became of it must be found out. Raises PermanentFailure when the key stands
        for another act.
        """
        if standing := self.reads.effect(key):
            if (standing.kind, standing.order_id) != (kind, order_id):
                what = f"{standing.kind} of order {standing.order_id}"
                raise PermanentFailure(f"effect {key} is {what}, not {kind} of order {order_id}")
            return standing, False
        values = {
            "key": key,
            "kind": kind,
            "order_id": order_id,
            "attempt": attempt,
            "state": EffectState.INTENT,
            "request": canonical(request),
            "outcome": canonical({}),
            "begun_at": self._clock.now(),
            "ended_at": None,
        }
        row = self._insert(tables.effects, values)
        body = {"kind": kind, "attempt": attempt}
        self._leaf("effect.begun", {"order": order_id, "effect": key}, body, rows=[row])
        return self._effect(key), True

    def end_effect(self, key: str, state: EffectState, outcome: Mapping[str, object]) -> Effect:
        """Write down what became of an act: done or failed, once.

        Ending it again in the same way leaves the first outcome as it is. Raises IllegalTransition for another end.
        """
        effect = self._effect(key)
        if effect.state is state and state is not EffectState.INTENT:
            return effect
        if effect.state is not EffectState.INTENT or state is EffectState.INTENT:
            raise IllegalTransition(f"effect {key} is {effect.state} and cannot become {state}")
        ended_at = self._clock.now()
        facts = {"state": state, "outcome": canonical(outcome), "ended_at": ended_at}
        row = self._update(tables.effects, key, facts)
        body = {"kind": effect.kind, "state": state}
        self._leaf("effect.ended", {"order": effect.order_id, "effect": key}, body, rows=[row])
        return self._effect(key)

    def open_lease(self, lease: Lease) -> None:
        """Put a lease into the books, requested or active.

        Raises IllegalTransition for any other state, and PermanentFailure when the lease, or another living one of
        the same deployment, stands already.
        """
        if lease.state not in (LeaseState.REQUESTED, LeaseState.ACTIVE):
            raise IllegalTransition(f"lease {lease.id} cannot be opened as {lease.state}; only requested or active")
        leases = tables.leases
        query = select(leases.c.id).where(
            leases.c.network == lease.network,
            leases.c.network_ref == lease.network_ref,
            leases.c.state != LeaseState.FAILED,
        )
        standing = self._connection.execute(query).scalar_one_or_none()
        if standing:
            raise PermanentFailure(f"lease {lease.id}: deployment {lease.network_ref} stands already as {standing}")
        rows = [self._insert(tables.leases, _lease_columns(lease))]
        body = {
            "network": lease.network,
            "provider": lease.provider,
            "network_ref": lease.network_ref,
            "gpu": lease.gpu_key,
            "gpu_count": lease.gpu_count,
            "usd_per_hour": f"{lease.usd_per_hour:f}",
            "mode": lease.mode,
            "raw_sha256": lease.raw_sha256,
        }
        if lease.replaces:
            rows.append(self._insert(tables.replacements, {"lease_id": lease.id, "replaces": lease.replaces}))
            body["replaces"] = lease.replaces
        self._leaf("lease.opened", _subject(lease), body, rows=rows)

    def move_lease(self, lease_id: str, to: LeaseState, **facts: Any) -> Lease:
        """Take a lease one step on, with what became known by it: `started_at`, `closed_at`, `settled_native`, …

        Raises IllegalTransition for a step that `model/state.py` does not have, and PermanentFailure for a fact that
        is no column of a lease or that says which lease it is.
        """
        lease = self.reads.lease(lease_id)
        check_lease_step(lease_id, lease.state, to)
        unknown = set(facts) - (set(Lease.model_fields) - _LEASE_IDENTITY)
        if unknown:
            raise PermanentFailure(f"lease {lease_id}: {', '.join(sorted(unknown))} cannot be set when a lease moves")
        moved = Lease.model_validate({**lease.model_dump(), **facts, "state": to})
        moved = moved.model_copy(update={"close_reason": legible(moved.close_reason)})
        row = self._update(tables.leases, lease_id, _lease_columns(moved))
        body: dict[str, Any] = {"from": lease.state, "to": to}
        body |= {name: _said(getattr(moved, name)) for name in facts if getattr(moved, name) is not None}
        self._leaf("lease.moved", _subject(moved), body, rows=[row])
        return moved

    def _order_to_move(self, order_id: str) -> Order:
        """The order, unless another run holds it: a run that lost its claim must not go on moving it.

        Raises Refused with the code `claimed_by_another_run`.
        """
        order = self.reads.order(order_id)
        run_id = self._actor.run_id
        if run_id is not None and order.run_id not in (None, run_id) and order.state in PENDING_ORDERS:
            raise Refused(
                f"order {order_id} is worked on by run {order.run_id}, not by {run_id}", code="claimed_by_another_run"
            )
        return order

    def _change_order(self, order: Order, kind: str, body: Mapping[str, Any], **facts: Any) -> Order:
        row = self._update(tables.orders, order.id, {**facts, "updated_at": self._clock.now()})
        self._leaf(kind, {"order": order.id}, body, rows=[row])
        return self.reads.order(order.id)

    def _effect(self, key: str) -> Effect:
        effect = self.reads.effect(key)
        if effect is None:
            raise PermanentFailure(f"effect {key} was never begun")
        return effect


def _lease_columns(lease: Lease) -> dict[str, Any]:
    return {name: value for name, value in columns_of(lease).items() if name != "replaces"}


def _subject(lease: Lease) -> dict[str, str]:
    return {"order": lease.order_id, "lease": lease.id}


def _said(value: object) -> str | int:
    """A fact as it stands in a leaf."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value if isinstance(value, int) else brief(str(value))
