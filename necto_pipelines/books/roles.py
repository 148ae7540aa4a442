"""The rights of the role that Necto works with on PostgreSQL: to add to the trail, and never to change it.

The tables belong to another role, which migrates and which only a person uses. So nobody who takes over Necto can edit
its history through it; whoever holds the owner's password still can, and `verify` finds that.
"""

import re
from typing import Final

from necto_pipelines.books.engine import SCHEMA
from necto_pipelines.books.tables import (
    audit_anchors,
    audit_checkpoints,
    audit_inbox,
    audit_leaves,
    audit_names,
    audit_openings,
    audit_tiles,
    metadata,
    run_seals,
    sealed_events,
    telemetry,
)
from necto_pipelines.failures import InvalidInput, Problem

APPEND_ONLY: Final = frozenset(
    table.name
    for table in (
        audit_leaves,
        audit_names,
        audit_tiles,
        audit_checkpoints,
        audit_anchors,
        run_seals,
        sealed_events,
    )
)
"""only ever added to, by anybody"""
DELETED_FROM: Final = frozenset(table.name for table in (audit_inbox, audit_openings, telemetry))
"""what was moved on, what must be erasable, and what is not kept for ever"""
_ROLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def role_statements(app_role: str) -> list[str]:
    """The SQL that makes the role if there is none, and gives it these rights and no others in our schema.

    For the owner of the tables to run, after each migration, for tables that came with it are not the role's yet. The
    role has no password until somebody gives it one. Raises InvalidInput for a name that is no plain identifier.
    """
    if not _ROLE.fullmatch(app_role):
        raise InvalidInput([Problem("role", app_role, "a-z, 0-9 and _, at most 63, beginning with a letter")])
    return [
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{app_role}') "
        f"THEN CREATE ROLE {app_role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT; END IF; END $$",
        "DO $$ BEGIN EXECUTE 'GRANT CONNECT ON DATABASE ' || quote_ident(current_database()) "
        f"|| ' TO {app_role}'; END $$",
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {app_role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM PUBLIC, {app_role}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {app_role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {app_role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {app_role}",
        *(f"GRANT {_rights(table)} ON {SCHEMA}.{table} TO {app_role}" for table in sorted(metadata.tables)),
    ]


def _rights(table: str) -> str:
    if table in APPEND_ONLY:
        return "INSERT"
    return "INSERT, UPDATE, DELETE" if table in DELETED_FROM else "INSERT, UPDATE"
