"""The books: budgets, orders, decisions, effects, leases, money, invoices, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.Text().with_variant(sa.Numeric(), "postgresql")
_WHOLE = sa.Text().with_variant(sa.Numeric(precision=78, scale=0), "postgresql")
_TIME = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Create every table, the log's empty head, and the triggers that keep leaves and checkpoints as they are."""
    _create_orders()
    _create_acts()
    _create_money()
    _create_audit()
    for table in ("audit_leaves", "audit_checkpoints"):
        _refuse_changes(table)


def _create_orders() -> None:
    op.create_table(
        "budgets",
        sa.Column("cost_centre", _KEY, nullable=False),
        sa.Column("limit_usd", _NUMBER, nullable=False),
        sa.Column("held_usd", _NUMBER, nullable=False),
        sa.Column("spent_usd", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("cost_centre", name="pk_budgets"),
    )
    op.create_table(
        "orders",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("tenant", _KEY, nullable=False),
        sa.Column("cost_centre", _KEY, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("submitted_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("run_id", _KEY),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.ForeignKeyConstraint(["cost_centre"], ["budgets.cost_centre"], name="fk_orders_cost_centre"),
    )
    op.create_index("ix_orders_state", "orders", ["state"])
    op.create_table(
        "requesters",
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_requesters"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_requesters_order_id"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_decisions_order_id"),
    )
    op.create_index("ix_decisions_order_id", "decisions", ["order_id"])


def _create_acts() -> None:
    op.create_table(
        "effects",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("kind", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("key", name="pk_effects"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_effects_order_id"),
    )
    op.create_index("ix_effects_order_id", "effects", ["order_id"])
    op.create_table(
        "leases",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("decision_id", _KEY, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("network", _KEY, nullable=False),
        sa.Column("provider", _KEY, nullable=False),
        sa.Column("provider_name", sa.Text, nullable=False),
        sa.Column("network_ref", _KEY, nullable=False),
        sa.Column("gpu_key", _KEY, nullable=False),
        sa.Column("gpu_count", sa.Integer, nullable=False),
        sa.Column("country", _KEY),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("usd_per_hour", _NUMBER, nullable=False),
        sa.Column("native_amount", _NUMBER, nullable=False),
        sa.Column("native_unit", _KEY, nullable=False),
        sa.Column("block_seconds", _NUMBER),
        sa.Column("mode", _KEY, nullable=False),
        sa.Column("raw_sha256", _KEY, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("ends_at", _TIME),
        sa.Column("closed_at", _TIME),
        sa.Column("close_reason", sa.Text, nullable=False),
        sa.Column("settled_native", _NUMBER),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_leases_order_id"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name="fk_leases_decision_id"),
    )
    op.create_index("ix_leases_order_id", "leases", ["order_id"])
    op.create_index("ix_leases_state", "leases", ["state"])
    op.create_index(
        "uq_leases_alive",
        "leases",
        ["network", "network_ref"],
        unique=True,
        sqlite_where=sa.text("state <> 'failed'"),
        postgresql_where=sa.text("state <> 'failed'"),
    )


def _create_money() -> None:
    op.create_table(
        "holds",
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("cost_centre", _KEY, nullable=False),
        sa.Column("usd", _NUMBER, nullable=False),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("settled_usd", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_holds"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_holds_order_id"),
        sa.ForeignKeyConstraint(["cost_centre"], ["budgets.cost_centre"], name="fk_holds_cost_centre"),
    )
    op.create_table(
        "conversions",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("from_asset", _KEY, nullable=False),
        sa.Column("from_units", _WHOLE, nullable=False),
        sa.Column("from_decimals", sa.Integer, nullable=False),
        sa.Column("to_asset", _KEY, nullable=False),
        sa.Column("to_units", _WHOLE, nullable=False),
        sa.Column("to_decimals", sa.Integer, nullable=False),
        sa.Column("rate_reference", _NUMBER, nullable=False),
        sa.Column("rate_executed", _NUMBER, nullable=False),
        sa.Column("price_source", sa.Text, nullable=False),
        sa.Column("price_published_at", _TIME, nullable=False),
        sa.Column("price_sha256", _KEY, nullable=False),
        sa.Column("venue", _KEY, nullable=False),
        sa.Column("venue_ref", _KEY, nullable=False),
        sa.Column("fee_usd", _NUMBER, nullable=False),
        sa.Column("slippage_usd", _NUMBER, nullable=False),
        sa.Column("mode", _KEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversions"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_conversions_order_id"),
        sa.UniqueConstraint("venue", "venue_ref", name="uq_conversions_venue_venue_ref"),
    )
    op.create_index("ix_conversions_order_id", "conversions", ["order_id"])
    op.create_table(
        "usage",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("period_start", _TIME, nullable=False),
        sa.Column("period_end", _TIME, nullable=False),
        sa.Column("gpu_hours", _NUMBER, nullable=False),
        sa.Column("native_units", _NUMBER, nullable=False),
        sa.Column("usd", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_usage_lease_id"),
    )
    op.create_index("ix_usage_lease_id", "usage", ["lease_id"])
    op.create_table(
        "invoices",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("tenant", _KEY, nullable=False),
        sa.Column("month", _KEY, nullable=False),
        sa.Column("issued_at", _TIME, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_invoices"),
    )
    op.create_index("ix_invoices_month", "invoices", ["month"])
    op.create_table(
        "charges",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", _KEY, nullable=False),
        sa.Column("tenant", _KEY, nullable=False),
        sa.Column("cost_centre", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("month", _KEY, nullable=False),
        sa.Column("network", _KEY, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("period_start", _TIME, nullable=False),
        sa.Column("period_end", _TIME, nullable=False),
        sa.Column("quantity", _NUMBER, nullable=False),
        sa.Column("unit", _KEY, nullable=False),
        sa.Column("unit_price_usd", _NUMBER, nullable=False),
        sa.Column("amount_usd", _NUMBER, nullable=False),
        sa.Column("invoice_number", _KEY),
        sa.PrimaryKeyConstraint("id", name="pk_charges"),
        sa.ForeignKeyConstraint(["cost_centre"], ["budgets.cost_centre"], name="fk_charges_cost_centre"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_charges_order_id"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_charges_lease_id"),
        sa.ForeignKeyConstraint(["invoice_number"], ["invoices.number"], name="fk_charges_invoice_number"),
    )
    for column in ("order_id", "month", "invoice_number"):
        op.create_index(f"ix_charges_{column}", "charges", [column])
    op.create_table(
        "invoice_counters",
        sa.Column("series", _KEY, nullable=False),
        sa.Column("year", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("series", "year", name="pk_invoice_counters"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_leaves",
        sa.Column("leaf_index", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name="pk_audit_leaves"),
        sa.UniqueConstraint("id", name="uq_audit_leaves_id"),
    )
    op.create_table(
        "audit_names",
        sa.Column("noun", _KEY, nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("leaf_index", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("noun", "key", "leaf_index", name="pk_audit_names"),
        sa.ForeignKeyConstraint(["leaf_index"], ["audit_leaves.leaf_index"], name="fk_audit_names_leaf_index"),
    )
    op.create_index("ix_audit_names_leaf_index", "audit_names", ["leaf_index"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
    )
    op.bulk_insert(head, [{"id": 1, "edge": bytes(8)}])
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.Column("signed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoints"),
    )


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_is_append_only()"
    )
