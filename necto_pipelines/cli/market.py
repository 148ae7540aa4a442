"""`necto offers` and `necto compare`: what can be bought, and what the clouds ask for the same."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from necto_pipelines.cli.output import AsJson, Home, print_json, print_table, settings_of
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.gpu import wanted_gpu
from necto_pipelines.model.money import plain
from necto_pipelines.model.place import country_code
from necto_pipelines.model.tables import records

Gpu = Annotated[str | None, typer.Option(help="GPU family or model, for example H100 or A100-80GB.")]


def offers(
    gpu: Gpu = None,
    country: Annotated[str | None, typer.Option(help="Countries, comma-separated ISO codes: DE,NL.")] = None,
    min_vram: Annotated[int | None, typer.Option(min=1, help="Least memory of one GPU, GiB.")] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """List the offers of the newest checked catalog, cheapest first, with age, price basis and source."""
    from necto_pipelines.journey.reading import read_asset  # noqa: PLC0415 - Dagster takes seconds to import

    wanted = _checked("gpu", gpu, wanted_gpu)
    countries = {_checked("country", code, country_code) for code in (country or "").split(",") if code}
    settings = settings_of(home)
    snapshot, now = read_asset(settings, "provider_catalog"), settings.clock().now()
    rows = [
        _offer(row, now)
        for row in records(snapshot.frame)
        if (not wanted or wanted in (row["gpu_key"], row["gpu_family"]))
        and (not countries or row["country"] in countries)
        and (not min_vram or row["vram_gib"] >= min_vram)
    ]
    rows.sort(key=lambda row: (float(row["usd_per_gpu_hour"]), row["offer_id"]))
    if json:
        print_json({"catalog": snapshot.pin.model_dump(mode="json"), "offers": rows})
        return
    columns = (
        "network",
        "provider_name",
        "gpu_key",
        "units_available",
        "country",
        "usd_per_gpu_hour",
        "price_basis",
        "age_s",
        "mode",
    )
    print_table(
        f"{len(rows)} offers, catalog {snapshot.pin.sha256[:12]}",
        ("network", "provider", "GPU", "free", "country", "$/GPU-h", "basis", "age s", "source"),
        ([row[column] for column in columns] for row in rows),
        right=("free", "$/GPU-h", "age s"),
    )


def compare(gpu: Gpu = None, home: Home = None, json: AsJson = False) -> None:
    """Compare the cheapest offer of each GPU with AWS, Azure and GCP on demand; a saving may be negative."""
    from necto_pipelines.journey.reading import read_asset  # noqa: PLC0415 - Dagster takes seconds to import

    wanted = _checked("gpu", gpu, wanted_gpu)
    snapshot = read_asset(settings_of(home), "price_comparison")
    rows = [
        {name: _json(value) for name, value in row.items()}
        for row in records(snapshot.frame)
        if not wanted or row["gpu_key"] == wanted or row["gpu_key"].startswith(f"{wanted}-")
    ]
    if json:
        print_json({"comparison": snapshot.pin.model_dump(mode="json"), "rows": rows})
        return
    columns = (
        "gpu_key", "network", "depin_usd_per_gpu_hour", "price_basis", "cloud", "cloud_instance", "cloud_region",
        "cloud_usd_per_gpu_hour", "cloud_as_of", "savings_pct",
    )  # fmt: skip
    print_table(
        "Cheapest offer against each cloud's cheapest on-demand machine with the same GPU",
        ("GPU", "network", "$/GPU-h", "basis", "cloud", "machine", "region", "cloud $/GPU-h", "as of", "saved %"),
        ([row[column] for column in columns] for row in rows),
        right=("$/GPU-h", "cloud $/GPU-h", "saved %"),
    )


def _offer(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    shown = {name: _json(value) for name, value in row.items()}
    return shown | {"age_s": round((now - row["observed_at"]).total_seconds())}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return plain(value) if isinstance(value, Decimal) else value


def _checked(field: str, text: str | None, check: Any) -> str | None:
    try:
        return check(text) if text else None
    except ValueError as error:
        raise InvalidInput([Problem(field, text, str(error))]) from error
