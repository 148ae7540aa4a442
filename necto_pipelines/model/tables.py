"""The columns of every table that a data asset holds, once: Arrow type and meaning.

Rows of our nouns become frames here, and only here. Money is decimal128, times are UTC microseconds, text is text.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel

from necto_pipelines.model.gpu import Gpu

USD = pa.decimal128(38, 12)
NATIVE = pa.decimal128(38, 18)
TIME = pa.timestamp("us", tz="UTC")
TEXT, COUNT, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


@dataclass(frozen=True)
class Table:
    """A table's name, and for each column its Arrow type and its meaning with the unit."""

    name: str
    columns: Mapping[str, tuple[pa.DataType, str]]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in column order."""
        return pa.schema([(name, kind) for name, (kind, _) in self.columns.items()])

    def frame(self, rows: Iterable[Mapping[str, Any] | BaseModel]) -> pd.DataFrame:
        """A frame with exactly these columns and Arrow types; a value that does not fit raises `pa.ArrowInvalid`."""
        fields = [row if isinstance(row, Mapping) else vars(row) for row in rows]
        columns = {name: pa.array(_values(fields, name), kind) for name, (kind, _) in self.columns.items()}
        return to_frame(pa.table(columns, schema=self.schema))

    def arrow(self, frame: pd.DataFrame) -> pa.Table:
        """The frame as an Arrow table of this schema; missing columns and wrong types raise."""
        return pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False).replace_schema_metadata(None)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas with Arrow types: decimals stay decimals, missing stays missing."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain Python values; missing is None."""
    rows: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return rows


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """A column's values; those of a GPU's columns are read from the row's `gpu` where it has one."""
    values = [row.get(name) for row in rows]
    if name in _GPU_PARTS:
        part = _GPU_PARTS[name]
        gpus = [row.get("gpu") for row in rows]
        return [part(gpu) if isinstance(gpu, Gpu) else value for gpu, value in zip(gpus, values, strict=True)]
    if any(issubclass(kind, tuple | list) for kind in set(map(type, values))):
        return [_plain(value) if isinstance(value, tuple | list) else value for value in values]
    return values


def _plain(value: Sequence[Any]) -> str:
    if any(isinstance(item, tuple) for item in value):
        return json.dumps(value, ensure_ascii=False)  # texts of strangers: no separator of ours may be forged
    return ",".join(map(str, value))


_GPU = {
    "gpu_key": (TEXT, "GPU model under its one name, for example H100-80GB"),
    "gpu_family": (TEXT, "GPU model without its memory size"),
    "gpu_interface": (TEXT, "sxm, pcie or nvl; empty when the source does not say"),
    "vram_gib": (COUNT, "memory of one GPU, GiB"),
}
_GPU_PARTS: Final[Mapping[str, Callable[[Gpu], object]]] = {
    "gpu_key": attrgetter("key"),
    "gpu_family": attrgetter("family"),
    "gpu_interface": attrgetter("interface"),
    "vram_gib": attrgetter("vram_gib"),
}
_ORIGIN = {
    "source": (TEXT, "where the figure was read"),
    "mode": (TEXT, "live, sandbox (simulated) or snapshot (dated reference)"),
    "raw_sha256": (TEXT, "SHA-256 of the raw answer the row was read from"),
}

OFFERS = Table(
    "offers",
    {
        "offer_id": (TEXT, "network, provider and GPU: the key of the row"),
        "network": (TEXT, "marketplace"),
        "provider": (TEXT, "provider's address at its network"),
        "provider_name": (TEXT, "provider's name or host"),
        **_GPU,
        "units_available": (COUNT, "GPUs free at the provider"),
        "max_gpus_per_order": (COUNT, "most GPUs one order can get"),
        "gpus_per_unit": (COUNT, "GPUs of the whole unit that an order gets; empty: as many GPUs as it asks for"),
        "cpu_cores": (REAL, "free CPU cores at the provider"),
        "memory_gib": (REAL, "free memory at the provider, GiB"),
        "disk_gib": (REAL, "free disk at the provider, GiB"),
        "country": (TEXT, "ISO 3166-1 alpha-2"),
        "region": (TEXT, "region as the network names it"),
        "usd_per_gpu_hour": (USD, "US dollars per GPU and hour"),
        "price_basis": (TEXT, "how firm: bid, list, private_quote or estimate"),
        "min_hours": (USD, "shortest order that is taken at this price, hours"),
        "valid_until": (TIME, "until when a private quote holds; empty for any other price"),
        "native_amount": (NATIVE, "price in the network's own unit"),
        "native_unit": (TEXT, "the network's own unit"),
        "block_seconds": (USD, "measured seconds per block used for the conversion"),
        "interruptible": (FLAG, "true when the provider may take the capacity back"),
        "observed_at": (TIME, "when the network answered; of a private quote, when it was given"),
        **_ORIGIN,
    },
)
EVIDENCE = Table(
    "provider_evidence",
    {
        "network": (TEXT, "marketplace"),
        "provider": (TEXT, "provider's address at its network"),
        "provider_name": (TEXT, "provider's name or host"),
        "is_online": (FLAG, "the network sees the provider"),
        "is_valid_version": (FLAG, "its software is a version the network accepts"),
        "audited_by": (TEXT, "addresses of auditors who signed attributes, comma-separated"),
        "audited_attributes": (TEXT, "signatures as JSON: [[key, value, auditor], …]"),
        "country": (TEXT, "ISO 3166-1 alpha-2"),
        "uptime_7d": (REAL, "share of the last seven days, 0 to 1"),
        "observed_at": (TIME, "when the evidence was read"),
        "raw_sha256": (TEXT, "SHA-256 of the raw answer"),
    },
)
CLOUD_PRICES = Table(
    "cloud_prices",
    {
        "cloud": (TEXT, "aws, azure or gcp"),
        "instance": (TEXT, "machine type"),
        **_GPU,
        "gpu_count": (COUNT, "GPUs in the machine"),
        "region": (TEXT, "the cloud's region"),
        "usd_per_hour": (USD, "on-demand, whole machine"),
        "usd_per_gpu_hour": (USD, "on-demand, per GPU"),
        "as_of": (TEXT, "date of the figure"),
        **_ORIGIN,
    },
)
TOKEN_PRICES = Table(
    "token_prices",
    {
        "token": (TEXT, "AKT, USDC, …"),
        "usd": (USD, "US dollars for one token"),
        "published_at": (TIME, "the source's own time of the price; of a consensus the oldest it rests on"),
        "observed_at": (TIME, "when it was read"),
        "confidence_usd": (USD, "how far the source says it may be off, either way; empty when it does not say"),
        "timed": (FLAG, "false when the source states no time: published_at is then when it answered"),
        "consensus": (FLAG, "true for what the sources agree on, which payments use; false for one source's price"),
        "used": (FLAG, "false for a price that is kept but does not count"),
        "reason": (TEXT, "why it does not count"),
        **_ORIGIN,
    },
)
COMPLIANCE_SCORES = Table(
    "compliance_scores",
    {
        "network": (TEXT, "marketplace"),
        "provider": (TEXT, "provider's address"),
        "provider_name": (TEXT, "provider's name or host"),
        "policy": (TEXT, "the policy judged against"),
        "score": (COUNT, "0 to 100; how much of what the policy asks for is proved"),
        "compliant": (FLAG, "true only when nothing is refused"),
        "refusals": (TEXT, "reasons, comma-separated"),
        "details": (TEXT, "the figures behind the reasons"),
        "country": (TEXT, "ISO 3166-1 alpha-2"),
        "evidence_observed_at": (TIME, "age of the evidence"),
        "evidence_sha256": (TEXT, "SHA-256 of the raw evidence"),
    },
)
RELIABILITY_SCORES = Table(
    "reliability_scores",
    {
        "network": (TEXT, "marketplace"),
        "provider": (TEXT, "provider's address"),
        "provider_name": (TEXT, "provider's name or host"),
        "score": (COUNT, "0 to 100; 100 times survival_24h"),
        "survival_24h": (USD, "chance that a lease of 24 hours lasts, 0 to 1"),
        "hazard_per_hour": (USD, "chance of losing a lease in an hour"),
        "uptime_7d": (REAL, "share of the last seven days, 0 to 1; empty when unknown"),
        "expected_uptime": (USD, "the same, shrunk towards the median of the network"),
        "leases": (COUNT, "our own leases there"),
        "leases_lost": (COUNT, "of those, ended early by provider or network"),
        "lease_hours": (USD, "hours they have run"),
        "evidence_observed_at": (TIME, "age of the evidence"),
        "evidence_sha256": (TEXT, "SHA-256 of the raw evidence"),
    },
)
PRICE_COMPARISON = Table(
    "price_comparison",
    {
        "gpu_key": (TEXT, "GPU model"),
        "gpu_count": (COUNT, "GPUs asked for, on one machine"),
        "choice": (TEXT, "which offer: cheapest (of anyone) or cheapest_compliant (of those the house buys from)"),
        "offer_id": (TEXT, "that offer: the cheapest that can serve so many GPUs"),
        "network": (TEXT, "its network"),
        "provider": (TEXT, "its provider"),
        "country": (TEXT, "ISO 3166-1 alpha-2; empty when the network does not say"),
        "region_group": (TEXT, "part of the world it stands in; empty when unknown"),
        "interruptible": (FLAG, "true when its provider may take the capacity back, which no cloud does on demand"),
        "offers_seen": (COUNT, "offers of this GPU that this choice was made from"),
        "depin_usd_per_gpu_hour": (USD, "its price"),
        "depin_akt_per_gpu_hour": (USD, "the same in AKT at the price of that moment; empty when no price is known"),
        "depin_usd_per_hour": (USD, "what the order costs there each hour: the price times the GPUs asked for"),
        "price_basis": (TEXT, "how firm the offer is"),
        "cloud": (TEXT, "aws, azure or gcp"),
        "twin": (TEXT, "same: the same GPU model; proxy: a better one, for the cloud does not sell this one"),
        "proxy_gpu": (TEXT, "the better GPU that stands in; empty when the model is the same"),
        "cloud_gpu_key": (TEXT, "GPU of the cloud's machine: never with less memory"),
        "cloud_instance": (TEXT, "the cloud's cheapest machine that can serve, in the nearest part of the world"),
        "cloud_gpu_count": (COUNT, "GPUs in that machine, all of which must be rented"),
        "cloud_region": (TEXT, "its region"),
        "cloud_region_group": (TEXT, "part of the world of that region; empty when its name does not tell"),
        "same_region_group": (FLAG, "both stand in the same part of the world; empty when the offer's is unknown"),
        "cloud_usd_per_gpu_hour": (USD, "on-demand price of that machine for each of its GPUs"),
        "cloud_usd_per_hour": (USD, "what the order costs there each hour: the whole machine"),
        "cloud_as_of": (TEXT, "date of the cloud's figure"),
        "cloud_source": (TEXT, "where the cloud's figure was read"),
        "cloud_mode": (TEXT, "live, sandbox or snapshot: of the cloud's figure"),
        "savings_pct": (USD, "100 x (1 - offer / cloud), of prices per GPU-hour; negative when the cloud is cheaper"),
        "order_savings_pct": (USD, "the same of the prices of the order; more when the cloud's machine is too big"),
        "cheapest_per_gpu_hour": (FLAG, "true for the cloud that asks least per GPU-hour"),
        "cheapest_per_order": (FLAG, "true for the cloud where the order costs least"),
        "observed_at": (TIME, "when the offer was read"),
        "mode": (TEXT, "sandbox, live or snapshot: of the offer"),
    },
)
LEASES = Table(
    "leases",
    {
        "id": (TEXT, "lease"),
        "order_id": (TEXT, "order it serves"),
        "network": (TEXT, "marketplace"),
        "provider": (TEXT, "provider's address"),
        "provider_name": (TEXT, "provider's name or host"),
        "gpu_key": (TEXT, "GPU model"),
        "gpu_count": (COUNT, "GPUs"),
        "country": (TEXT, "ISO 3166-1 alpha-2"),
        "state": (TEXT, "requested, active, closing, closed or failed"),
        "usd_per_hour": (USD, "binding price of the whole lease"),
        "started_at": (TIME, "accepted"),
        "ends_at": (TIME, "ordered hours used up"),
        "closed_at": (TIME, "closed"),
        "settled_native": (NATIVE, "paid to the provider in the native unit"),
        "native_unit": (TEXT, "native unit of the rate"),
        "mode": (TEXT, "live or sandbox"),
        "raw_sha256": (TEXT, "SHA-256 of the answer with the binding price"),
        "replaces": (TEXT, "lease that failed and whose job it goes on with"),
    },
)
LEASE_TELEMETRY = Table(
    "lease_telemetry",
    {
        "lease_id": (TEXT, "lease"),
        "order_id": (TEXT, "order it serves"),
        "network": (TEXT, "marketplace"),
        "provider_name": (TEXT, "provider's name or host"),
        "observed_at": (TIME, "when it was looked at"),
        "state": (TEXT, "requested, active, closed or failed by the network; no_answer when it did not say"),
        "healthy": (FLAG, "whether it runs by its provider's word; empty when that is not known"),
        "latency_ms": (COUNT, "how long the answer took, milliseconds"),
        "ready": (COUNT, "replicas that run"),
        "total": (COUNT, "replicas that should"),
        "gpu_use_pct": (USD, "load of the GPUs, 0 to 100; empty where the network does not say"),
        "runway_hours": (USD, "how long what was paid in still lasts; empty where nothing is paid in"),
        "cost_usd": (USD, "cost of the lease so far, at its binding price"),
        "order_cost_usd": (USD, "cost of its whole order so far, conversions and earlier leases included"),
        "cap_usd": (USD, "the most that order may cost"),
        "evidence_at": (TIME, "when the evidence on its provider was observed; empty when there is none"),
        "detail": (TEXT, "what was wrong; empty for a healthy lease"),
        "mode": (TEXT, "live or sandbox"),
    },
)
USAGE_CHARGES = Table(
    "usage_charges",
    {
        "id": (TEXT, "charge"),
        "kind": (TEXT, "compute, conversion_fee or slippage"),
        "tenant": (TEXT, "customer"),
        "cost_centre": (TEXT, "who pays"),
        "order_id": (TEXT, "order"),
        "lease_id": (TEXT, "lease"),
        "month": (TEXT, "billing month, YYYY-MM"),
        "network": (TEXT, "marketplace"),
        "resource": (TEXT, "what was used"),
        "period_start": (TIME, "inclusive"),
        "period_end": (TIME, "exclusive"),
        "quantity": (USD, "metered quantity"),
        "unit": (TEXT, "unit of the quantity"),
        "unit_price_usd": (USD, "unrounded"),
        "amount_usd": (NATIVE, "unrounded: whole micro-units times a price of twelve decimals"),
        "invoice_number": (TEXT, "invoice it stands on; empty while not invoiced"),
    },
)
INVOICES = Table(
    "invoices",
    {
        "number": (TEXT, "invoice number, without gaps"),
        "tenant": (TEXT, "customer"),
        "month": (TEXT, "billing month, YYYY-MM"),
        "issued_at": (TIME, "issued"),
        "position": (COUNT, "line"),
        "network": (TEXT, "marketplace"),
        "resource": (TEXT, "what was used"),
        "description": (TEXT, "line text"),
        "quantity": (USD, "quantity"),
        "unit": (TEXT, "unit"),
        "unit_price_usd": (USD, "unit price"),
        "amount_usd": (USD, "line amount, rounded half-up to the cent"),
        "lease_id": (TEXT, "lease"),
        "order_id": (TEXT, "order"),
        "cost_centre": (TEXT, "who pays"),
        "simulated": (FLAG, "true when from the sandbox"),
    },
)
EVIDENCE_FILES = Table(
    "evidence_files",
    {
        "path": (TEXT, "place in the evidence pack"),
        "sha256": (TEXT, "SHA-256 of the file"),
        "size": (COUNT, "bytes"),
        "month": (TEXT, "the month the pack is about, YYYY-MM"),
        "pack_sha256": (TEXT, "SHA-256 of the pack as one ZIP file"),
    },
)
RUN_SEALS = Table(
    "run_seals",
    {
        "run_id": (TEXT, "Dagster run; empty for events that belong to none"),
        "part": (COUNT, "1 for the seal at the run's end; further ones cover what Dagster wrote later"),
        "job": (TEXT, "job of the run"),
        "status": (TEXT, "how the run ended; NONE for events that belong to none"),
        "events": (COUNT, "events under this seal"),
        "root": (TEXT, "RFC 6962 root over the SHA-256 leaf hashes of the stored texts, hex"),
        "sealed_at": (TIME, "when"),
    },
)
