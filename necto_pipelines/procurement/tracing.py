"""Walk an invoice back to the bytes a network answered: each hop with its audit leaf, and whether that leaf is proved.

Invoice → line → charge → lease → decision → pinned catalog → raw answer; and for the money, conversion → price answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import tlog_proof, verify_tlog_proof
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.invoice import Invoice, InvoiceLine
from necto_pipelines.model.lease import Charge, ChargeKind, Conversion, Lease
from necto_pipelines.model.money import plain
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.runtime import Runtime


@dataclass(frozen=True)
class Hop:
    """One step of the walk. `proved` is None where a hop has no leaf of its own (bytes are proved by their digest)."""

    kind: str
    key: str
    facts: dict[str, str]
    leaf_index: int | None = None
    proved: bool | None = None
    hops: tuple["Hop", ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The walk as JSON values."""
        return {
            "kind": self.kind,
            "key": self.key,
            "facts": self.facts,
            "leaf_index": self.leaf_index,
            "proved": self.proved,
            "hops": [hop.as_json() for hop in self.hops],
        }

    def all_proved(self) -> bool:
        """True when no hop of the walk failed its proof."""
        return self.proved is not False and all(hop.all_proved() for hop in self.hops)


def trace_invoice(runtime: Runtime, number: str) -> Hop:
    """The walk of a whole invoice. PermanentFailure when there is no such invoice."""
    runtime.books.sign()
    walker = _Walker(runtime)
    invoice = runtime.books.invoice(number)
    charges = {charge.id: charge for charge in runtime.books.charges(month=invoice.month)}
    lines = tuple(walker.line(line, [charges[key] for key in line.charge_ids]) for line in invoice.lines)
    return walker.hop("invoice", "invoices", invoice.number, _invoice_facts(invoice), lines)


@dataclass
class _Walker:
    runtime: Runtime
    _leaves: dict[tuple[str, str], tuple[int | None, bool]] = field(default_factory=dict)

    def line(self, line: InvoiceLine, charges: Sequence[Charge]) -> Hop:
        facts = {"text": line.description, "amount_usd": f"{line.amount_usd:.2f}"}
        return Hop("line", str(line.position), facts, hops=tuple(self.charge(charge) for charge in charges))

    def charge(self, charge: Charge) -> Hop:
        facts = {"amount_usd": plain(charge.amount_usd), "quantity": f"{plain(charge.quantity)} {charge.unit}"}
        if charge.kind is ChargeKind.COMPUTE:
            below: tuple[Hop, ...] = (self.lease(self.runtime.books.lease(charge.lease_id)),)
        else:
            pairs = self.runtime.books.conversions(charge.order_id)
            below = tuple(self.conversion(c) for c in pairs if charge.id.endswith(c.id) or c.id in charge.id)
        return self.hop("charge", "charges", charge.id, facts, below)

    def lease(self, lease: Lease) -> Hop:
        facts = {
            "provider": lease.provider,
            "rate": f"{plain(lease.native_amount)} {lease.native_unit}",
            "usd_per_hour": plain(lease.usd_per_hour),
            "settled": plain(lease.settled_native) if lease.settled_native is not None else "",
        }
        decision = self.runtime.books.decision(lease.decision_id)
        below = (self.raw("binding bid", lease.raw_sha256), self.decision(decision, lease))
        return self.hop("lease", "leases", lease.id, facts, below)

    def decision(self, decision: Decision, lease: Lease) -> Hop:
        chosen = decision.chosen
        facts = {
            "chosen": chosen.offer_id if chosen else "none",
            "compliant": str(len(decision.ranked)),
            "refused": str(len(decision.candidates) - len(decision.ranked)),
        }
        below = []
        for pin in decision.inputs:
            row = None
            if pin.asset == "provider_catalog":
                offer = (lease.network, lease.provider, lease.gpu_key)
                rows = records(self.runtime.warehouse.read_frame(pin.sha256))
                row = next((r for r in rows if (r["network"], r["provider"], r["gpu_key"]) == offer), None)
            raw = (self.raw("network's answer", row["raw_sha256"]),) if row else ()
            present = self.runtime.warehouse.has(pin.sha256)
            below.append(
                Hop(
                    "data", pin.asset, {"sha256": pin.sha256, "dagster_run": pin.run_id or ""}, proved=present, hops=raw
                )
            )
        return self.hop("decision", "decisions", decision.id, facts, tuple(below))

    def conversion(self, conversion: Conversion) -> Hop:
        facts = {
            "swap": f"{conversion.from_units} {conversion.from_asset} → {conversion.to_units} {conversion.to_asset}",
            "venue_ref": conversion.venue_ref,
        }
        below = (self.raw(f"price by {conversion.price_source}", conversion.price_sha256),)
        return self.hop("conversion", "conversions", conversion.id, facts, below)

    def raw(self, what: str, sha256: str) -> Hop:
        """The kept bytes: reading them checks them against their digest."""
        kept = self.runtime.warehouse.has(sha256)
        size = str(len(self.runtime.warehouse.read_raw(sha256))) if kept else "not kept"
        return Hop("raw answer", what, {"sha256": sha256, "bytes": size}, proved=kept)

    def hop(self, kind: str, table: str, key: str, facts: dict[str, str], hops: tuple[Hop, ...]) -> Hop:
        """A hop whose row is named by a leaf: the row is as the newest such leaf left it, and that leaf is proved."""
        if (table, key) not in self._leaves:
            self._leaves[table, key] = self._prove(table, key)
        index, proved = self._leaves[table, key]
        return Hop(kind, key, facts, index, proved, hops)

    def _prove(self, table: str, key: str) -> tuple[int | None, bool]:
        leaves = self.runtime.books.leaf_of(table, key)
        if not leaves:
            return None, False
        index = leaves[-1][0]
        leaf, hashes, note = self.runtime.books.proof(index)
        try:
            verify_tlog_proof(tlog_proof(index, hashes, note), leaf, Verifier.from_vkey(self.runtime.books.vkey))
        except AuditBroken:
            return index, False
        return index, self.runtime.books.stands_as_logged(table, key)


def _invoice_facts(invoice: Invoice) -> dict[str, str]:
    return {"total_usd": f"{invoice.total_usd:.2f}", "tenant": invoice.tenant, "month": invoice.month}
