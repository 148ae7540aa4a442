"""`necto audit export` and `serve`: the trail as files that tools we did not write can check."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from necto_pipelines.anchors.registry import open_anchors
from necto_pipelines.audit.policy import TimeAuthority
from necto_pipelines.books.export import ALL_PROOFS_UP_TO, NEWEST_PROOFS, Exported
from necto_pipelines.cli.output import OPERATOR, AsJson, Home, opened_books, print_json, settings_of, stderr, stdout
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.anchor import AnchorKind
from necto_pipelines.procurement.privacy import disclosures
from necto_pipelines.settings import Settings

_ALL = 2**63


def export(
    folder: Annotated[
        Path,
        typer.Argument(help="Where to write; a folder of an earlier export is brought up to date.", file_okay=False),
    ],
    home: Home = None,
    proofs: Annotated[
        str | None,
        typer.Option(
            help="Write proofs of `all` entries, of `none`, or of so many of the newest; without it of all when there "
            f"are at most {ALL_PROOFS_UP_TO:,}, else of the newest {NEWEST_PROOFS:,}."
        ),
    ] = None,
    disclose: Annotated[
        list[int] | None,
        typer.Option(help="Put the values that this entry commits to beside it; logged. May be repeated."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Sign the log and write it as C2SP tiles with its checkpoints, keys, time stamps and proofs.

    Check it with `necto-verify`, or without any of our programs: docs/how-to/verify-with-openssl.md.
    """
    wanted = _count(proofs)
    authorities = _authorities(settings_of(home))
    with opened_books(home) as books, Progress(console=stderr, transient=True) as bar:
        openings = disclosures(books, disclose, OPERATOR) if disclose else None
        task = bar.add_task("Writing the log", total=None)
        done = books.export(
            folder,
            proofs=wanted,
            time_authorities=authorities,
            openings=openings,
            progress=lambda so_far, total: bar.update(task, completed=so_far, total=total),
        )
    if json:
        counts = {"size": done.size, "proofs": done.proofs, "first_proof": done.first_proof, "written": done.written}
        print_json({"folder": str(folder), **counts})
    else:
        stdout.print(_said(folder, done), soft_wrap=True, markup=False)


def serve(
    folder: Annotated[Path, typer.Argument(help="An exported log.", exists=True, file_okay=False)],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8791,
    host: Annotated[str, typer.Option(help="Address to listen on; by default this machine only.")] = "127.0.0.1",
) -> None:
    """Serve an exported log over HTTP, read-only, until Ctrl-C. Disclosed values are never served."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from necto_pipelines.cli.audit_files import log_application  # noqa: PLC0415

    stderr.print(f"The log at http://{host}:{port}/checkpoint; stop with Ctrl-C", markup=False)
    uvicorn.run(log_application(folder), host=host, port=port, log_level="warning", server_header=False, lifespan="off")


def _authorities(settings: Settings) -> list[TimeAuthority]:
    """The authority of time stamps that the settings name, with its trusted roots."""
    if settings.timestamp_roots is None:
        return []
    anchors = open_anchors(settings, settings.clock())
    roots = settings.timestamp_roots.read_text()
    return [TimeAuthority(anchor.name, roots) for anchor in anchors if anchor.kind is AnchorKind.RFC3161]


def _count(proofs: str | None) -> int | None:
    if proofs is None:
        return None
    if proofs in ("all", "none"):
        return _ALL if proofs == "all" else 0
    if proofs.isascii() and proofs.isdecimal() and len(proofs) < 19:
        return int(proofs)
    raise InvalidInput([Problem("proofs", proofs, "all, none, or how many of the newest entries")])


def _said(folder: Path, done: Exported) -> str:
    if done.proofs == done.size:
        of = "each entry"
    else:
        of = f"the newest {done.proofs:,} entries (--proofs says which)" if done.proofs else "no entry"
    return f"{done.size:,} entries in {folder}, with proofs of {of}; {done.written:,} files were new or had changed"
