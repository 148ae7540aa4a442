"""Stored tiles, an inbox for leaves, anchors, openings that can be erased, and seals of Dagster's runs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
_APPEND_ONLY = ("audit_tiles", "audit_anchors", "run_seals", "sealed_events")


def upgrade() -> None:
    """Create the tables, and let nobody change what is only ever added to. Tiles of a standing log are made when it is
    next opened."""
    _create_log_tables()
    _create_seals()
    for table in _APPEND_ONLY:
        _refuse_changes(table)


def _create_log_tables() -> None:
    op.create_table(
        "audit_tiles",
        sa.Column("level", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_audit_tiles"),
    )
    op.create_table(
        "audit_inbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_audit_inbox"),
        sa.UniqueConstraint("id", name="uq_audit_inbox_id"),
    )
    op.create_table(
        "audit_anchors",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("kind", _KEY, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("at", _TIME),
        sa.Column("token", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_audit_anchors"),
    )
    op.create_index("ix_audit_anchors_size", "audit_anchors", ["size"])
    op.create_table(
        "audit_openings",
        sa.Column("leaf_id", _KEY, nullable=False),
        sa.Column("label", _KEY, nullable=False),
        sa.Column("subject", _KEY, nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("leaf_id", "label", name="pk_audit_openings"),
    )
    op.create_index("ix_audit_openings_subject", "audit_openings", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        # The planner keeps samples of columns, which outlive the rows: none of what must be erasable.
        for column in ("nonce", "ciphertext"):
            op.execute(f"ALTER TABLE audit_openings ALTER COLUMN {column} SET STATISTICS 0")
        op.execute("ALTER TABLE requesters ALTER COLUMN requested_by SET STATISTICS 0")


def _create_seals() -> None:
    op.create_table(
        "run_seals",
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("part", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("job", _KEY, nullable=False),
        sa.Column("status", _KEY, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("sealed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "part", name="pk_run_seals"),
    )
    op.create_table(
        "sealed_events",
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("part", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("storage_id", sa.BigInteger, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "part", "position", name="pk_sealed_events"),
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
