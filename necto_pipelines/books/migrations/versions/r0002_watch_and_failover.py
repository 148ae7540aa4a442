"""How leases fare, which of them failed, and which lease goes on with the job of which."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.Text().with_variant(sa.Numeric(), "postgresql")
_TIME = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Create the tables. Those that stand already are left alone: their rows are named by leaves as they are."""
    op.create_table(
        "replacements",
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("replaces", _KEY, nullable=False),
        sa.PrimaryKeyConstraint("lease_id", name="pk_replacements"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_replacements_lease_id"),
        sa.ForeignKeyConstraint(["replaces"], ["leases.id"], name="fk_replacements_replaces"),
    )
    op.create_index("ix_replacements_replaces", "replacements", ["replaces"])
    op.create_table(
        "failovers",
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("failover_id", _KEY, nullable=False),
        sa.Column("order_id", _KEY, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("cause", _KEY, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.Column("delivered_hours", _NUMBER, nullable=False),
        sa.Column("scope", _KEY, nullable=False),
        sa.Column("network", _KEY, nullable=False),
        sa.Column("provider", _KEY, nullable=False),
        sa.Column("region", sa.Text),
        sa.Column("country", _KEY),
        sa.Column("organisation", sa.Text),
        sa.PrimaryKeyConstraint("lease_id", name="pk_failovers"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_failovers_lease_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_failovers_order_id"),
    )
    for column in ("failover_id", "order_id"):
        op.create_index(f"ix_failovers_{column}", "failovers", [column])
    op.create_table(
        "lease_health",
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("health", _KEY, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("ill_since", _TIME),
        sa.Column("healthy_seconds", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("lease_id", name="pk_lease_health"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_lease_health_lease_id"),
    )
    op.create_table(
        "telemetry",
        sa.Column("lease_id", _KEY, nullable=False),
        sa.Column("observed_at", _TIME, nullable=False),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("healthy", sa.Boolean),
        sa.Column("latency_ms", sa.Integer, nullable=False),
        sa.Column("ready", sa.Integer),
        sa.Column("total", sa.Integer),
        sa.Column("gpu_use_pct", _NUMBER),
        sa.Column("runway_hours", _NUMBER),
        sa.Column("cost_usd", _NUMBER, nullable=False),
        sa.Column("order_cost_usd", _NUMBER, nullable=False),
        sa.Column("cap_usd", _NUMBER, nullable=False),
        sa.Column("evidence_at", _TIME),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("lease_id", "observed_at", name="pk_telemetry"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_telemetry_lease_id"),
    )
    op.create_index("ix_telemetry_observed_at", "telemetry", ["observed_at"])
