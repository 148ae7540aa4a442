"""The tables of the books, once. How they came to be, version by version, stands in `migrations/`.

In PostgreSQL they live in the schema `necto`, reached by the search path, because Dagster's own tables share the
database. A row of an `AUDITED` table is named, with its digest, by the leaf of every change to it.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from necto_pipelines.books.columns import KEY, ExactNumber, UtcTime, WholeNumber

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

budgets: Final = Table(
    "budgets",
    metadata,
    Column("cost_centre", KEY, primary_key=True),
    Column("limit_usd", ExactNumber, nullable=False),
    Column("held_usd", ExactNumber, nullable=False),
    Column("spent_usd", ExactNumber, nullable=False),
)
orders: Final = Table(
    "orders",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("tenant", KEY, nullable=False),
    Column("cost_centre", KEY, ForeignKey("budgets.cost_centre"), nullable=False),
    Column("request", Text, nullable=False),  # canonical JSON, without requested_by
    Column("state", KEY, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("next_attempt_at", UtcTime),
    Column("attempt", Integer, nullable=False),
    Column("run_id", KEY),
)
requesters: Final = Table(
    # A person's name: apart, in no digest and in no leaf, so that it can be erased without touching the trail.
    "requesters",
    metadata,
    Column("order_id", KEY, ForeignKey("orders.id"), primary_key=True),
    Column("requested_by", Text, nullable=False),
)
decisions: Final = Table(
    "decisions",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON
)
holds: Final = Table(
    "holds",
    metadata,
    Column("order_id", KEY, ForeignKey("orders.id"), primary_key=True),
    Column("cost_centre", KEY, ForeignKey("budgets.cost_centre"), nullable=False),
    Column("usd", ExactNumber, nullable=False),
    Column("state", KEY, nullable=False),
    Column("settled_usd", ExactNumber, nullable=False),
)
effects: Final = Table(
    "effects",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("kind", KEY, nullable=False),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("state", KEY, nullable=False),
    Column("request", Text, nullable=False),  # canonical JSON
    Column("outcome", Text, nullable=False),  # canonical JSON
    Column("begun_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)
conversions: Final = Table(
    "conversions",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("from_asset", KEY, nullable=False),
    Column("from_units", WholeNumber, nullable=False),
    Column("from_decimals", Integer, nullable=False),
    Column("to_asset", KEY, nullable=False),
    Column("to_units", WholeNumber, nullable=False),
    Column("to_decimals", Integer, nullable=False),
    Column("rate_reference", ExactNumber, nullable=False),
    Column("rate_executed", ExactNumber, nullable=False),
    Column("price_source", Text, nullable=False),
    Column("price_published_at", UtcTime, nullable=False),
    Column("price_sha256", KEY, nullable=False),
    Column("venue", KEY, nullable=False),
    Column("venue_ref", KEY, nullable=False),
    Column("fee_usd", ExactNumber, nullable=False),
    Column("slippage_usd", ExactNumber, nullable=False),
    Column("mode", KEY, nullable=False),
    UniqueConstraint("venue", "venue_ref"),
)
leases: Final = Table(
    "leases",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("decision_id", KEY, ForeignKey("decisions.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("network", KEY, nullable=False),
    Column("provider", KEY, nullable=False),
    Column("provider_name", Text, nullable=False),
    Column("network_ref", KEY, nullable=False),
    Column("gpu_key", KEY, nullable=False),
    Column("gpu_count", Integer, nullable=False),
    Column("country", KEY),
    Column("state", KEY, nullable=False, index=True),
    Column("usd_per_hour", ExactNumber, nullable=False),
    Column("native_amount", ExactNumber, nullable=False),
    Column("native_unit", KEY, nullable=False),
    Column("block_seconds", ExactNumber),
    Column("mode", KEY, nullable=False),
    Column("raw_sha256", KEY, nullable=False),
    Column("started_at", UtcTime),
    Column("ends_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("close_reason", Text, nullable=False),
    Column("settled_native", ExactNumber),
    # A deployment may be offered to one provider after another, but never be paid for twice.
    Index(
        "uq_leases_alive",
        "network",
        "network_ref",
        unique=True,
        sqlite_where=text("state <> 'failed'"),
        postgresql_where=text("state <> 'failed'"),
    ),
)
replacements: Final = Table(
    # A lease that goes on with the job of one that failed. Apart from `leases`, whose rows stand in leaves as they are.
    "replacements",
    metadata,
    Column("lease_id", KEY, ForeignKey("leases.id"), primary_key=True),
    Column("replaces", KEY, ForeignKey("leases.id"), nullable=False, index=True),
)
failovers: Final = Table(
    "failovers",
    metadata,
    Column("lease_id", KEY, ForeignKey("leases.id"), primary_key=True),
    Column("failover_id", KEY, nullable=False, index=True),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("cause", KEY, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    Column("delivered_hours", ExactNumber, nullable=False),
    Column("scope", KEY, nullable=False),
    Column("network", KEY, nullable=False),
    Column("provider", KEY, nullable=False),
    Column("region", Text),
    Column("country", KEY),
    Column("organisation", Text),
)
lease_health: Final = Table(
    "lease_health",
    metadata,
    Column("lease_id", KEY, ForeignKey("leases.id"), primary_key=True),
    Column("health", KEY, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("ill_since", UtcTime),
    Column("healthy_seconds", Integer, nullable=False),
    Column("detail", Text, nullable=False),
)
telemetry: Final = Table(
    # Not audited and not kept for ever: what was decided by it stands in `lease_health` and `failovers`.
    "telemetry",
    metadata,
    Column("lease_id", KEY, ForeignKey("leases.id"), primary_key=True),
    Column("observed_at", UtcTime, primary_key=True, index=True),
    Column("state", KEY, nullable=False),
    Column("healthy", Boolean),
    Column("latency_ms", Integer, nullable=False),
    Column("ready", Integer),
    Column("total", Integer),
    Column("gpu_use_pct", ExactNumber),
    Column("runway_hours", ExactNumber),
    Column("cost_usd", ExactNumber, nullable=False),
    Column("order_cost_usd", ExactNumber, nullable=False),
    Column("cap_usd", ExactNumber, nullable=False),
    Column("evidence_at", UtcTime),
    Column("detail", Text, nullable=False),
)
usage: Final = Table(
    "usage",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("lease_id", KEY, ForeignKey("leases.id"), nullable=False, index=True),
    Column("period_start", UtcTime, nullable=False),
    Column("period_end", UtcTime, nullable=False),
    Column("gpu_hours", ExactNumber, nullable=False),
    Column("native_units", ExactNumber, nullable=False),
    Column("usd", ExactNumber, nullable=False),
)
invoices: Final = Table(
    "invoices",
    metadata,
    Column("number", KEY, primary_key=True),
    Column("tenant", KEY, nullable=False),
    Column("month", KEY, nullable=False, index=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON
)
charges: Final = Table(
    "charges",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("kind", KEY, nullable=False),
    Column("tenant", KEY, nullable=False),
    Column("cost_centre", KEY, ForeignKey("budgets.cost_centre"), nullable=False),
    Column("order_id", KEY, ForeignKey("orders.id"), nullable=False, index=True),
    Column("lease_id", KEY, ForeignKey("leases.id"), nullable=False),
    Column("month", KEY, nullable=False, index=True),
    Column("network", KEY, nullable=False),
    Column("resource", Text, nullable=False),
    Column("period_start", UtcTime, nullable=False),
    Column("period_end", UtcTime, nullable=False),
    Column("quantity", ExactNumber, nullable=False),
    Column("unit", KEY, nullable=False),
    Column("unit_price_usd", ExactNumber, nullable=False),
    Column("amount_usd", ExactNumber, nullable=False),
    Column("invoice_number", KEY, ForeignKey("invoices.number"), index=True),
)
invoice_counters: Final = Table(
    "invoice_counters",
    metadata,
    Column("series", KEY, primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

audit_leaves: Final = Table(
    # Triggers refuse to change or delete its rows: a speed bump against accidents. The evidence is the tree.
    "audit_leaves",
    metadata,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("id", KEY, nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
)
audit_names: Final = Table(
    # What each leaf names: rows as (table, key), subjects as (kind, id). For finding leaves; `verify` checks it.
    "audit_names",
    metadata,
    Column("noun", KEY, primary_key=True),
    Column("key", KEY, primary_key=True),
    Column("leaf_index", BigInteger, ForeignKey("audit_leaves.leaf_index"), primary_key=True, index=True),
)
audit_head: Final = Table(
    # The one row that every change locks first, so that changes follow one another and indexes have no gaps.
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("edge", LargeBinary, nullable=False),  # CompactRange.to_bytes()
)
audit_checkpoints: Final = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),  # the signed checkpoint
    Column("edge", LargeBinary, nullable=False),  # the tree's edge at that size, so that signing never rescans
    Column("signed_at", UtcTime, nullable=False),
)
audit_tiles: Final = Table(
    # Full tiles of the tree, 256 hashes each (C2SP tlog-tiles). The right edge stands in `audit_leaves`, and in the
    # roots of the tiles one level below.
    "audit_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),  # of the tile's own subtree: a hash in the tile above
    Column("hashes", LargeBinary, nullable=False),
)
audit_inbox: Final = Table(
    # Leaves that were committed and wait for their index. The sequencer takes them out in this order.
    "audit_inbox",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", KEY, nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
)
audit_anchors: Final = Table(
    # What was put out of the operator's reach, and where: a copy, a message, a time stamp of an authority.
    "audit_anchors",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("size", BigInteger, nullable=False, index=True),
    Column("root", Text, nullable=False),  # base64, as in the checkpoint
    Column("kind", KEY, nullable=False),
    Column("place", Text, nullable=False),
    Column("at", UtcTime),  # the time that is proved, where one is
    Column("token", Text),  # base64 of the DER answer of a time stamp authority
)
audit_openings: Final = Table(
    # What commitments in leaves commit to, under a key that can be destroyed. In no digest: it must be erasable.
    "audit_openings",
    metadata,
    Column("leaf_id", KEY, primary_key=True),
    Column("label", KEY, primary_key=True),
    Column("subject", KEY, nullable=False, index=True),  # a pseudonym
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
)
run_seals: Final = Table(
    # What Dagster had logged of a run when the run ended; the empty id stands for events without a run.
    "run_seals",
    metadata,
    Column("run_id", KEY, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("job", KEY, nullable=False),
    Column("status", KEY, nullable=False),
    Column("events", Integer, nullable=False),
    Column("root", Text, nullable=False),  # hex, over the leaf hashes of the stored texts
    Column("sealed_at", UtcTime, nullable=False),
)
sealed_events: Final = Table(
    # The leaf hash of each event's stored text, so that a changed row can be named; the seal's root covers them.
    "sealed_events",
    metadata,
    Column("run_id", KEY, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("storage_id", BigInteger, nullable=False),  # Dagster's own id of the row, for finding it
    Column("leaf_hash", LargeBinary, nullable=False),
)

AUDITED: Final = {
    table.name: table
    for table in (
        budgets,
        orders,
        decisions,
        holds,
        effects,
        conversions,
        leases,
        replacements,
        failovers,
        lease_health,
        usage,
        charges,
        invoices,
        invoice_counters,
        audit_anchors,
        run_seals,
    )
}
