"""How each kind of hop is read: what it says, what it stands on, and which hops it rests on.

Rows, leaves and bytes are read with `tracing_reading.py`; tables, answers and runs with `tracing_sources.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from necto_pipelines.procurement.tracing_hops import Hop, Row, read_object
from necto_pipelines.procurement.tracing_reading import SANDBOX, dicts, has_raw, joined, number, stated, text, usd
from necto_pipelines.procurement.tracing_sources import Sources

_TOP_REASONS: Final = 6
_EFFECTS: Final = {
    "swap": "swap at the venue",
    "create_deployment": "deployment created",
    "create_lease": "lease created",
    "close_deployment": "deployment closed",
}


class Walker(Sources):
    """Reads hops, each once, into `hops`. Every method takes a key and returns the id of its hop."""

    def invoice(self, number: str) -> str:
        """An invoice with all its lines."""
        row = self.row("invoices", number)
        document = read_object(row.values.get("document"))
        lines = [self._line(number, line) for line in dicts(document.get("lines"))]
        return self._invoice(row, document, lines)

    def line(self, number: str, position: int) -> str | None:
        """One line, with the invoice it stands on below it; None when the invoice has no such line."""
        row = self.row("invoices", number)
        document = read_object(row.values.get("document"))
        for line in dicts(document.get("lines")):
            if line.get("position") == position:
                return self._line(number, line, also=[self._invoice(row, document, [])])
        return None

    def charge(self, key: str) -> str:
        """A charge, and what it charges for."""
        row = self.row("charges", key)
        of = row.values
        rows = self.rows_about("order", text(of.get("order_id")))
        below = [self.usage(usage) for usage in rows.get("usage", ()) if key == f"chg_{usage}"]
        below += [self.conversion(made) for made in rows.get("conversions", ()) if made in key]
        rows_below = [self.hops[hop].row for hop in below]
        if all(each is None or each.text is None for each in rows_below) and of.get("lease_id"):
            below.append(self.lease(of["lease_id"]))
        facts = {
            "amount": usd(of, "amount_usd"),
            "quantity": joined(number(of.get("quantity")), of.get("unit")),
            "unit price": usd(of, "unit_price_usd"),
        }
        return self.add("charge", row, text(of.get("kind")).replace("_", " "), facts, below)

    def usage(self, key: str) -> str:
        """What a lease used in a period."""
        row = self.row("usage", key)
        of = row.values
        facts = {
            "GPU-hours": number(of.get("gpu_hours")),
            "settled": number(of.get("native_units")),
            "from": text(of.get("period_start")),
            "to": text(of.get("period_end")),
        }
        below = [self.lease(of["lease_id"])] if of.get("lease_id") else []
        return self.add("usage", row, joined(number(of.get("gpu_hours")), "GPU-hours"), facts, below)

    def lease(self, key: str) -> str:
        """A lease: the order it is for, the decision and the bids behind it, what was done for it, and how it fared."""
        if (known := f"lease:{key}") in self.hops:
            return known
        row = self.row("leases", key)
        of = row.values
        order = text(of.get("order_id"))
        below = [self.decision(of["decision_id"], of)] if of.get("decision_id") else []
        below += self._bids(of)
        below += [self.effect(effect) for effect in self._effects_of(of)]
        about = self.rows_about("order", order)
        below += [self._plain("health", "lease_health", key)] if key in about.get("lease_health", ()) else []
        below += [self._plain("failover", "failovers", key)] if self.knows("failovers", key) else []
        below += self._replaced(key) if key in about.get("replacements", ()) else []
        if order and order != self.whole:
            below.append(self.order(order))
        facts = {
            "network": text(of.get("network")),
            "provider": text(of.get("provider")),
            "GPUs": joined(of.get("gpu_count"), "×", of.get("gpu_key")),
            "price per hour": usd(of, "usd_per_hour"),
            "rate": joined(number(of.get("native_amount")), of.get("native_unit")),
            "settled": number(of.get("settled_native")),
            "state": text(of.get("state")),
        }
        return self.add("lease", row, text(of.get("provider_name")), facts, below, mode=of.get("mode"))

    def order(self, key: str) -> str:
        """An order with the money held for it."""
        return self._order(key, [self.hold(each) for each in self.rows_about("order", key).get("holds", ())])

    def order_whole(self, key: str) -> str:
        """An order with everything that was decided, done and charged for it, also when it never got a lease."""
        self.whole = key
        rows = self.rows_about("order", key)
        readers: dict[str, Callable[[str], str]] = {
            "charges": self.charge,
            "leases": self.lease,
            "decisions": self.decision,
            "conversions": self.conversion,
            "effects": self.effect,
            "holds": self.hold,
        }
        found = {table: [read(each) for each in rows.get(table, ())] for table, read in readers.items()}
        reached = {below for hop in self.hops.values() for below in hop.rests_on}
        invoices = {
            number
            for charge in rows.get("charges", ())
            if (number := self.row("charges", charge).values.get("invoice_number"))
        }
        below = [self._invoice_alone(number) for number in sorted(invoices)]
        below += [hop for hops in found.values() for hop in hops if hop not in reached]
        return self._order(key, below)

    def decision(self, key: str, lease: Mapping[str, Any] | None = None) -> str:
        """A routing decision, the tables it was made on, and the answers that the rows of its choice were read from."""
        row = self.row("decisions", key)
        document = read_object(row.values.get("document"))
        chosen = document.get("chosen") if isinstance(document.get("chosen"), dict) else {}
        candidates = dicts(document.get("candidates"))
        refusals = Counter(reason for each in candidates for reason in each.get("refusals") or ())
        dearer = refusals.pop("dearer_than_the_chosen", 0)
        fit = sum(not each.get("refusals") for each in candidates) + dearer
        facts = {
            "strategy": text(document.get("strategy")),
            "offers looked at": str(len(candidates)),
            "compliant": str(fit),
            "refused": str(len(candidates) - fit),
            "reasons": ", ".join(f"{reason} {count}" for reason, count in refusals.most_common(_TOP_REASONS)),
            "expected cost": usd(document, "expected_usd"),
        }
        below = [self.data(pin, lease or chosen or {}) for pin in dicts(document.get("inputs"))]
        below += self.run_of(row)
        name = text((chosen or {}).get("provider_name"))
        return self.add("decision", row, f"chose {name}" if name else "nothing chosen", facts, below)

    def conversion(self, key: str) -> str:
        """A conversion of one asset into another, the price it was judged by, and the act at the venue."""
        row = self.row("conversions", key)
        of = row.values
        below = [self.price(of["price_sha256"])] if of.get("price_sha256") else []
        for effect in self.rows_about("order", text(of.get("order_id"))).get("effects", ()):
            outcome = read_object(self.row("effects", effect).values.get("outcome"))
            if outcome.get("venue_ref") and outcome["venue_ref"] == of.get("venue_ref"):
                below.append(self.effect(effect))
        order = text(of.get("order_id"))
        below += [self.order(order)] if order not in ("", self.whole) else []
        facts = {
            "from": joined(number(of.get("from_units"), of.get("from_decimals")), of.get("from_asset")),
            "to": joined(number(of.get("to_units"), of.get("to_decimals")), of.get("to_asset")),
            "rate": number(of.get("rate_executed")),
            "price by": text(of.get("price_source")),
            "fee": usd(of, "fee_usd"),
            "slippage": usd(of, "slippage_usd"),
            "venue's reference": text(of.get("venue_ref")),
        }
        title = joined(of.get("from_asset"), "→", of.get("to_asset"))
        return self.add("conversion", row, title, facts, below, mode=of.get("mode"))

    def effect(self, key: str) -> str:
        """An act on the outside world, with the answer to it where that was kept."""
        row = self.row("effects", key)
        of = row.values
        kind, outcome = text(of.get("kind")), read_object(of.get("outcome"))
        below = [self.raw(_EFFECTS.get(kind, kind), outcome["raw_sha256"])] if has_raw(outcome) else []
        facts = {
            "state": text(of.get("state")),
            "begun": text(of.get("begun_at")),
            "ended": text(of.get("ended_at")),
        }
        return self.add("effect", row, _EFFECTS.get(kind, kind), facts, below)

    def hold(self, key: str) -> str:
        """Money held for an order, and the budget it was held in."""
        row = self.row("holds", key)
        of = row.values
        below = [self._budget(of["cost_centre"])] if of.get("cost_centre") else []
        facts = {"held": usd(of, "usd"), "state": text(of.get("state")), "spent": usd(of, "settled_usd")}
        return self.add("hold", row, joined(usd(of, "usd"), of.get("state")), facts, below)

    def run_whole(self, key: str) -> str:
        """A Dagster run with all its leaves, and what it decided, bought, charged and gave up."""
        self.whole = key
        rows = self.rows_about("run", key)
        readers: dict[str, Callable[[str], str]] = {
            "charges": self.charge,
            "usage": self.usage,
            "leases": self.lease,
            "decisions": self.decision,
            "conversions": self.conversion,
            "failovers": lambda lease: self._plain("failover", "failovers", lease),
            "effects": self.effect,
            "orders": self.order,
            "invoices": self._invoice_alone,
        }
        found = {table: [read(each) for each in rows.get(table, ())] for table, read in readers.items()}
        reached = {below for hop in self.hops.values() for below in hop.rests_on}
        return self.run(key, [hop for hops in found.values() for hop in hops if hop not in reached], whole=True)

    def _line(self, invoice: str, line: Mapping[str, Any], also: Iterable[str] = ()) -> str:
        below = [*(self.charge(charge) for charge in line.get("charge_ids") or ()), *also]
        facts = {
            "amount": usd(line, "amount_usd"),
            "quantity": joined(number(line.get("quantity")), line.get("unit")),
            "cost centre": text(line.get("cost_centre")),
        }
        key = f"{invoice}/{text(line.get('position'))}"
        return self.put(Hop("line", key, text(line.get("description")), stated(facts), rests_on=tuple(below)))

    def _invoice(self, row: Row, document: Mapping[str, Any], below: Iterable[str]) -> str:
        facts = {
            "total": usd(document, "total_usd"),
            "tenant": text(document.get("tenant")),
            "month": text(document.get("month")),
            "issued": text(document.get("issued_at")),
            "lines": str(len(dicts(document.get("lines")))),
        }
        mode = SANDBOX if document.get("simulated") else ""
        return self.add("invoice", row, row.key, facts, below, mode=mode)

    def _invoice_alone(self, number: str) -> str:
        row = self.row("invoices", number)
        return self._invoice(row, read_object(row.values.get("document")), [])

    def _order(self, key: str, below: Iterable[str]) -> str:
        row = self.row("orders", key)
        of, request = row.values, read_object(row.values.get("request"))
        facts = {
            "state": text(of.get("state")),
            "reason": text(of.get("reason")),
            "tenant": text(of.get("tenant")),
            "cost centre": text(of.get("cost_centre")),
            "budget": usd(request, "budget_usd"),
            "submitted": text(of.get("submitted_at")),
        }
        consulted = tuple(index for index, _ in self.books.leaves("order", key))
        return self.add("order", row, text(request.get("name")), facts, below, consulted=consulted)

    def _budget(self, key: str) -> str:
        row = self.row("budgets", key)
        of = row.values
        facts = {"limit": usd(of, "limit_usd"), "held": usd(of, "held_usd"), "spent": usd(of, "spent_usd")}
        return self.add("budget", row, key, facts)

    def _plain(self, kind: str, table: str, key: str) -> str:
        row = self.row(table, key)
        of = row.values
        shown = ("health", "since", "detail", "cause", "reason", "decided_at", "scope", "delivered_hours")
        facts = {name.replace("_", " "): text(of.get(name)) for name in shown}
        return self.add(kind, row, text(of.get("cause") or of.get("health")), facts)

    def _replaced(self, lease: str) -> list[str]:
        row = self.row("replacements", lease)
        before = text(row.values.get("replaces"))
        below = [self.lease(before)] if before and before != lease else []
        return [self.add("replacement", row, "goes on with a failed job", {"replaces": before}, below)]

    def _bids(self, lease: Mapping[str, Any]) -> list[str]:
        """The leaf in which the bids for the lease's deployment were judged, and the binding bid itself."""
        binding, judged = text(lease.get("raw_sha256")), []
        for index, leaf in self.books.leaves("deployment", text(lease.get("network_ref"))):
            event = read_object(leaf)
            if event.get("type") == "bids.judged":
                blobs = [text(blob.get("sha256")) for blob in dicts(event.get("blobs"))]
                body = event.get("body") or {}
                facts = {
                    "bids seen": text(body.get("seen")),
                    "acceptable": text(body.get("acceptable")),
                    "price ceiling per hour": usd(body, "ceiling_usd_per_hour"),
                }
                below = [self.raw("binding bid" if blob == binding else "other bid", blob) for blob in blobs]
                hop = Hop("bids", f"leaf {index}", "bids judged", stated(facts), None, None, (index,), tuple(below))
                judged.append(self.put(hop))
        reached = {below for hop in judged for below in self.hops[hop].rests_on}
        return judged + (
            [self.raw("binding bid", binding)] if binding and f"raw answer:{binding}" not in reached else []
        )

    def _effects_of(self, lease: Mapping[str, Any]) -> list[str]:
        """The acts for the lease's attempt that are no swaps, of its own provider or of nobody's."""
        found = []
        for key in self.rows_about("order", text(lease.get("order_id"))).get("effects", ()):
            of = self.row("effects", key).values
            provider = key.split("/", 3)[3:]
            if of.get("kind") != "swap" and of.get("attempt") == lease.get("attempt"):
                found += [key] if provider in ([], [lease.get("provider")]) else []
        return found
