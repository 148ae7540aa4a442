"""`necto offers`: what can be bought."""

from dataclasses import asdict, replace
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import pandas as pd
import typer

from necto_pipelines.cli.offer_rows import BASES, exclusion, in_words, native, sentence, shown, summary
from necto_pipelines.cli.output import AsJson, Home, print_json, print_table, settings_of, stdout
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.gpu import wanted_gpu
from necto_pipelines.model.place import country_code
from necto_pipelines.model.tables import records
from necto_pipelines.networks.registry import open_networks
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
    scores = read_asset(settings, "compliance_scores").frame
    catalog = Catalog(snapshot.frame, scores)
    rows, max_age = records(snapshot.frame), timedelta(seconds=settings.catalog_max_age_s)
    every = [shown(row, score=catalog.score(n), now=now, max_age=max_age) for n, row in enumerate(rows)]
    fits = [int(n) for n in catalog.select(replace(query, limit=None))]
    found = [every[n] for n in fits[:limit]]
    sources = summary(every, {every[n]["offer_id"] for n in fits})
    missing = sorted(open_networks(settings, settings.clock()).keys() - {source["network"] for source in sources})
    excluded = _excluded(query, catalog, rows, every, scores) if explain else []
    if json:
        bases = {basis: BASES[basis] for basis in sorted({row["price_basis"] for row in every})}
        document = {
            "catalog": snapshot.pin.model_dump(mode="json"),
            "read_at": rfc3339(now),
            "asked": {name: sorted(v) if isinstance(v, frozenset) else v for name, v in asdict(query).items()},
            "sources": sources,
            "networks_without_offers": missing,
            "price_bases": bases,
            "fitting": len(fits),
            "offers": found,
        }
        print_json(document | ({"excluded": excluded} if explain else {}))
        return
    count = f"{len(found)} of {len(fits)}" if len(found) < len(fits) else f"{len(fits)}"
    _print_offers(f"{count} offers fit, of {len(every)} in catalog {snapshot.pin.sha256[:12]}", found)
    if explain:
        _print_offers(f"{len(excluded)} offers do not fit", excluded)
    _print_sources(sources, found + excluded)
    if missing:
        stdout.print(f"Without offers in this catalog: {', '.join(missing)} (`necto doctor` says why)", highlight=False)


def _excluded(
    query: Query, catalog: Catalog, rows: list[dict[str, Any]], every: list[dict[str, Any]], scores: pd.DataFrame
) -> list[dict[str, Any]]:
    """Every offer that does not fit, nearest miss first (fewest reasons, then cheapest), with what it has against what
    was asked."""
    verdicts = {(row["network"], row["provider"]): row for row in records(scores)}
    excluded = []
    for n, reasons in catalog.explain(query):
        verdict = verdicts.get((rows[n]["network"], rows[n]["provider"]))
        excluded.append(every[n] | {"excluded": [exclusion(reason, rows[n], query, verdict) for reason in reasons]})
    return sorted(excluded, key=lambda row: len(row["excluded"]))


def _print_offers(title: str, rows: list[dict[str, Any]]) -> None:
    columns = [
        "network",
        "provider",
        "GPU",
        "free",
        "country",
        "$/GPU-h",
        "basis",
        "native price",
        "score",
        "age",
        "mode",
    ]
    explained = any("excluded" in row for row in rows)
    last = "because" if explained else "source, raw answer"
    cells = []
    for row in rows:
        age = row["age"] if row["fresh"] else f"{row['age']}, too old"
        why = "\n".join(map(sentence, row["excluded"])) if explained else f"{row['source']}\n{row['raw_sha256'][:12]}"
        cells.append(
            (
                *(row[name] for name in ("network", "provider_name", "gpu_key", "units_available", "country")),
                *(row["usd_per_gpu_hour"], row["price_basis"], native(row), row["score"], age, row["mode"], why),
            )
        )
    print_table(title, (*columns, last), cells, right=("free", "$/GPU-h", "score", "age"))


def _print_sources(sources: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Where the catalog came from, and what the price bases among `rows` are worth."""
    cells = (
        (
            *(source[name] for name in ("network", "mode", "offers", "fitting")),
            ", ".join(source["price_bases"]),
            in_words(timedelta(seconds=source["oldest_s"])),
        )
        for source in sources
    )
    columns = ("network", "mode", "offers", "fit", "basis", "age")
    print_table("Sources of the catalog", columns, cells, right=("offers", "fit", "age"))
    for basis in sorted({row["price_basis"] for row in rows}):
        stdout.print(f"{basis}: {BASES[basis]}", highlight=False)


def _words(text: str | None) -> frozenset[str]:
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())


def _checked(field: str, text: str | None, check: Any) -> str | None:
    try:
        return check(text) if text else None
    except ValueError as error:
        raise InvalidInput([Problem(field, text, str(error))]) from error
