"""`necto audit pack`: a month's evidence as one file, for an auditor or regulator."""

from typing import Annotated

import typer

from necto_pipelines.cli.output import OPERATOR, AsJson, Home, print_json, settings_of, stdout
from necto_pipelines.procurement.evidence_pack import pack_month
from necto_pipelines.procurement.runtime import Runtime


def pack(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="The month, YYYY-MM.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Pack a month's evidence: each invoice proved, controls, verification, incidents; exit 1 if something failed."""
    runtime = Runtime.open(settings_of(home))
    try:
        packed = pack_month(runtime, month, OPERATOR, _failed_checks(runtime, month))
    finally:
        runtime.close()
    if json:
        print_json(
            {
                "month": packed.month,
                "path": str(packed.path),
                "sha256": packed.sha256,
                "ok": packed.ok,
                "invoices": packed.invoices,
                "files": len(packed.files) + 1,
                "leaf_index": packed.leaf_index,
            }
        )
    else:
        word = "[green]everything holds[/green]" if packed.ok else "[red]SOMETHING FAILED[/red]: see its index.html"
        stdout.print(f"{word}  {packed.invoices} invoices, {len(packed.files) + 1} files")
        stdout.print(str(packed.path), soft_wrap=True, markup=False)
        stdout.print(f"SHA-256 {packed.sha256}, logged as entry {packed.leaf_index}", soft_wrap=True)
    raise typer.Exit(0 if packed.ok else 1)


def _failed_checks(runtime: Runtime, month: str) -> list[dict[str, str]]:
    """From Dagster's storage in the home. A home in which Dagster never ran has none, and none is made for it."""
    if not (runtime.settings.home / "dagster").is_dir():
        return []
    import dagster as dg  # noqa: PLC0415 - a second to import, which a wrong month should not cost

    from necto_pipelines.journey.home import prepare_home  # noqa: PLC0415
    from necto_pipelines.resources.failed_checks import failed_checks  # noqa: PLC0415

    prepare_home(runtime.settings)
    with dg.DagsterInstance.get() as instance:
        return failed_checks(instance, month)
