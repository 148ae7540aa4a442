"""`necto offers` and `necto compare`: what can be bought, and what the clouds ask for the same."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from necto_pipelines.cli.output import AsJson, Home, print_json, print_table, settings_of
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.gpu import wanted_gpu
from necto_pipelines.model.money import plain
from necto_pipelines.model.place import country_code
from necto_pipelines.model.tables import records
from necto_pipelines.routing.catalog import Catalog, Query


class SortBy(StrEnum):
    """What a list of offers is ordered by: the cheapest, best proved, largest or newest first."""

    PRICE = "price"
    SCORE = "score"
    VRAM = "vram"
    AGE = "age"


Gpu = Annotated[str | None, typer.Option(help="GPU family or model, for example H100 or A100-80GB.")]


def offers(
    gpu: Gpu = None,
    gpus: Annotated[int, typer.Option(min=1, help="How many GPUs one order needs.")] = 1,
    network: Annotated[str | None, typer.Option(help="Networks, comma-separated.")] = None,
    country: Annotated[str | None, typer.Option(help="Countries, comma-separated ISO codes: DE,NL.")] = None,
    region: Annotated[str | None, typer.Option(help="Regions as the network names them, comma-separated.")] = None,
    min_vram: Annotated[float | None, typer.Option(min=1, help="Least memory of one GPU, GiB.")] = None,
    min_tflops: Annotated[float, typer.Option(min=0, help="Least dense FP16 compute of one GPU, TFLOPS.")] = 0,
    min_cpu: Annotated[float, typer.Option(min=0, help="Least free CPU cores.")] = 0,
    min_memory: Annotated[float, typer.Option(min=0, help="Least free memory, GiB.")] = 0,
    min_disk: Annotated[float, typer.Option(min=0, help="Least free disk, GiB.")] = 0,
    max_price: Annotated[float | None, typer.Option(min=0, help="Most US dollars per GPU and hour.")] = None,
    min_score: Annotated[float, typer.Option(min=0, max=100, help="Least compliance score.")] = 0,
    compliant: Annotated[bool, typer.Option("--compliant", help="Only providers that pass the house policy.")] = False,
    no_interruptible: Annotated[
        bool, typer.Option("--no-interruptible", help="Leave out capacity that its provider may take back.")
    ] = False,
    sort: Annotated[SortBy, typer.Option(help="What comes first; price among equals.")] = SortBy.PRICE,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also list every other offer, with the reasons.")] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """List the offers of the newest checked catalog that fit, with age, price basis and source."""
    from necto_pipelines.journey.reading import read_asset  # noqa: PLC0415 - Dagster takes seconds to import

    query = Query(
        networks=_words(network),
        gpu=_checked("gpu", gpu, wanted_gpu),
        min_vram_gib=min_vram or 0,
        min_fp16_tflops=min_tflops,
        gpus=gpus,
        min_cpu_cores=min_cpu,
        min_memory_gib=min_memory,
        min_disk_gib=min_disk,
        countries=frozenset(str(_checked("country", code, country_code)) for code in _words(country)),
        regions=_words(region),
        interruptible=not no_interruptible,
        compliant=compliant,
        min_score=min_score,
        max_usd_per_gpu_hour=max_price,
        sort=sort.value,
        limit=limit,
    )
    settings = settings_of(home)
    snapshot, now = read_asset(settings, "provider_catalog"), settings.clock().now()
    catalog = Catalog(snapshot.frame, read_asset(settings, "compliance_scores").frame)
    rows = records(snapshot.frame)
    found = [_offer(rows[n], now, catalog.score(int(n))) for n in catalog.select(query)]
    others = catalog.explain(query) if explain else []
    excluded = [_offer(rows[n], now, catalog.score(n)) | {"excluded": list(reasons)} for n, reasons in others]
    if json:
        document: dict[str, Any] = {"catalog": snapshot.pin.model_dump(mode="json"), "offers": found}
        print_json(document | ({"excluded": excluded} if explain else {}))
        return
    _print_offers(f"{len(found)} offers, catalog {snapshot.pin.sha256[:12]}", found)
    if explain:
        _print_offers(f"{len(excluded)} offers do not fit", excluded)


def _print_offers(title: str, rows: list[dict[str, Any]]) -> None:
    columns = {
        "network": "network", "provider_name": "provider", "gpu_key": "GPU", "units_available": "free",
        "country": "country", "usd_per_gpu_hour": "$/GPU-h", "price_basis": "basis", "score": "score", "age_s": "age s",
        "mode": "source",
    }  # fmt: skip
    if any("excluded" in row for row in rows):
        columns["excluded"] = "because"
    cells = ([", ".join(v) if isinstance(v := row[column], list) else v for column in columns] for row in rows)
    print_table(title, tuple(columns.values()), cells, right=("free", "$/GPU-h", "score", "age s"))


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


def _offer(row: dict[str, Any], now: datetime, score: int | None) -> dict[str, Any]:
    shown = {name: _json(value) for name, value in row.items()}
    return shown | {"score": score, "age_s": round((now - row["observed_at"]).total_seconds())}


def _words(text: str | None) -> frozenset[str]:
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return plain(value) if isinstance(value, Decimal) else value


def _checked(field: str, text: str | None, check: Any) -> str | None:
    try:
        return check(text) if text else None
    except ValueError as error:
        raise InvalidInput([Problem(field, text, str(error))]) from error
