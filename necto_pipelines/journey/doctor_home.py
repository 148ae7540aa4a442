"""How Necto's own house is tested by `necto doctor`: sandbox, books, log key, disk, warehouse, Dagster's storage.

Nothing is made, migrated or written: what is not there yet is said to be made at its first use.
"""

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from alembic.config import Config
from alembic.script import ScriptDirectory
from upath import UPath

from necto_pipelines.audit.note import Signer, decode_base64
from necto_pipelines.books.engine import MIGRATIONS, open_engine, transaction, version
from necto_pipelines.books.keys import KEY_FILE
from necto_pipelines.failures import NectoError, Unavailable
from necto_pipelines.journey.home import prepare_home
from necto_pipelines.model.clock import Clock, parse_rfc3339
from necto_pipelines.model.finding import MOST_SKEW_S, START_SANDBOX, Check, Finding, Verdict
from necto_pipelines.reaching import knock
from necto_pipelines.settings import Settings

HOME: Final = "home"
LOCAL: Final = "local"
LEAST_FREE_GIB: Final = 1.0
"""less, and a refresh may stop half-way: raw answers and tables are kept"""
LITTLE_FREE_GIB: Final = 10.0
GIB: Final = 1024**3


def checks(settings: Settings, clock: Clock) -> Iterator[Check]:
    """The checks of the home; the sandbox first, where anything is simulated."""
    if settings.simulated or "sandbox" in (settings.aws_mode, settings.azure_mode, settings.gcp_mode):
        yield Check("sandbox", HOME, "sandbox", partial(_sandbox, settings, clock), settings.given("sandbox_port"))
    kept = "PostgreSQL" if settings.database_url else "SQLite"
    database = settings.given("database_url")
    yield Check("books", HOME, kept, partial(_books, settings), database)
    yield Check("log-key", HOME, LOCAL, partial(_log_key, settings), settings.given("log_origin"))
    yield Check("disk", HOME, LOCAL, partial(_disk, settings))
    place = settings.given("warehouse_url")
    yield Check("warehouse", HOME, "store" if settings.warehouse_url else LOCAL, partial(_warehouse, settings), place)
    yield Check("dagster", HOME, kept, partial(_dagster, settings), database)


def _sandbox(settings: Settings, clock: Clock) -> Finding:
    """Whether it runs, and in the same simulated time as this home."""
    url = f"{settings.sandbox_url}/sandbox/health"
    try:
        at = knock(url, clock=clock, timeout_s=settings.request_timeout_s)
        now = parse_rfc3339(httpx.get(url, timeout=settings.request_timeout_s).json()["now"])
    except Unavailable:
        says = f"the sandbox is not running at {settings.sandbox_url}"
        return Finding(Verdict.FAILED, says, START_SANDBOX, reachable=False)
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        hint = "set NECTO_SANDBOX_PORT to the sandbox's port"
        return Finding(Verdict.FAILED, f"another server answers at {settings.sandbox_url}", hint, reachable=True)
    skew_s = (clock.now() - now).total_seconds()
    if abs(skew_s) > MOST_SKEW_S:
        says = f"its simulated time is {abs(skew_s):,.0f} s {'behind' if skew_s > 0 else 'ahead of'} this home's"
        hint = "it serves another home: stop it, or name that home with --home"
        return Finding(Verdict.WARNING, says, hint, True, at.latency_ms, skew_s=skew_s)
    return Finding(Verdict.OK, "simulated networks, clouds, prices and rail", "", True, at.latency_ms, skew_s=skew_s)


def _books(settings: Settings) -> Finding:
    home = settings.home.resolve()
    file = home / "books.db"
    if settings.database_url is None and not file.exists():
        return _not_yet(home)
    engine = open_engine(settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{file}")
    try:
        with transaction(engine, write=False) as connection:
            found = version(connection)
    finally:
        engine.dispose()
    newest = ScriptDirectory.from_config(Config(config_args={"script_location": str(MIGRATIONS)})).get_current_head()
    if found is None:
        return Finding(Verdict.OK, "the database answers; its tables are made at the first use", reachable=True)
    if found != newest:
        says = f"at version {found}, this Necto has {newest}"
        hint = "the next command brings it up to date; is it of a newer Necto, install that one"
        return Finding(Verdict.WARNING, says, hint, reachable=True)
    return Finding(Verdict.OK, f"at version {found}", reachable=True)


def _log_key(settings: Settings) -> Finding:
    file = settings.home.resolve() / "keys" / KEY_FILE
    if not file.exists():
        return _not_yet(settings.home.resolve())
    try:
        Signer.from_private_bytes(settings.log_origin, decode_base64(file.read_text().strip()))
    except OSError as error:
        return Finding(Verdict.FAILED, f"{file} cannot be read: {error.strerror}", "run as the user whose home it is")
    except (ValueError, NectoError):  # the cause would show the key
        return Finding(Verdict.FAILED, f"{file} holds no private key", "restore it from the backup")
    if file.stat().st_mode & 0o077:
        return Finding(Verdict.WARNING, "others on this machine may read it", f"chmod 600 {file}")
    return Finding(Verdict.OK, "readable, by its owner only")


def _disk(settings: Settings) -> Finding:
    folder = _nearest(settings.home.resolve())
    free_gib = shutil.disk_usage(folder).free / GIB
    says, hint = f"{free_gib:,.1f} GiB free at {folder}", "make room; old tables and raw answers are in the warehouse"
    if free_gib < LEAST_FREE_GIB:
        return Finding(Verdict.FAILED, says, hint)
    if free_gib < LITTLE_FREE_GIB:
        return Finding(Verdict.WARNING, says, hint)
    return Finding(Verdict.OK, says)


def _warehouse(settings: Settings) -> Finding:
    """A folder is judged by its rights; of a store it is only known whether it answers."""
    root = UPath(settings.warehouse_url or settings.home.resolve() / "warehouse")
    if root.protocol in ("", "file", "local"):
        folder = Path(root.path)
        if not folder.exists():
            return _not_yet(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding(Verdict.FAILED, f"{folder} is not writable", "give this user the right to write there")
        return Finding(Verdict.OK, f"{folder} is writable")
    try:
        there = root.exists()
    except Exception as error:  # each store raises errors of its own
        hint = "check address, credentials and network of the store"
        return Finding(Verdict.FAILED, f"{root.protocol} store: {type(error).__name__}: {error}", hint, reachable=False)
    says = "answers" if there else "answers; nothing is in it yet"
    return Finding(Verdict.OK, f"{root.protocol} store {says}; writing was not tried", reachable=True)


def _dagster(settings: Settings) -> Finding:
    """Whether Dagster's own storage answers, and whether the daemon lives that starts orders."""
    home = settings.home.resolve()
    if not (home / "dagster" / "dagster.yaml").exists():
        return _not_yet(home)
    import dagster as dg  # noqa: PLC0415 - Dagster takes seconds to import

    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs_count()
        lives = instance.get_daemon_statuses()
    alive = any(status.healthy for status in lives.values())
    says = f"{runs} runs; the daemon is {'running' if alive else 'not running'}"
    return Finding(Verdict.OK, says, "" if alive else "`necto up` starts it: without it submitted orders wait", True)


def _not_yet(folder: Path) -> Finding:
    at = _nearest(folder)
    if not os.access(at, os.W_OK | os.X_OK):
        return Finding(Verdict.FAILED, f"not there yet, and {at} is not writable", "name another folder with --home")
    return Finding(Verdict.OK, "not there yet; made at its first use")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
