"""`necto compare`: what the clouds ask for what is offered here, and what they would have asked for an order."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import pandas as pd
import typer

from necto_pipelines.cli.compare_tables import print_comparison, print_elsewhere
from necto_pipelines.cli.offer_rows import as_json
from necto_pipelines.cli.output import AsJson, Home, opened_books, print_json, settings_of
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.market.clouds.regions import NEAREST
from necto_pipelines.market.comparison import COUNT_CLASSES, Question, not_compared, smallest
from necto_pipelines.market.comparison import compare as compare_tables
from necto_pipelines.market.elsewhere import Alternative, Elsewhere, elsewhere
from necto_pipelines.model.decision import Decision, InputPin
from necto_pipelines.model.gpu import wanted_gpu
from necto_pipelines.model.money import plain
from necto_pipelines.model.place import country_code
from necto_pipelines.settings import Settings
from necto_pipelines.warehouse.warehouse import Warehouse

PINNED, NEWEST = "pinned at the decision", "newest"


def compare(
    gpu: Annotated[
        list[str] | None, typer.Option(help="GPU families or models, comma-separated or repeated: H100,A100-80GB.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="How many GPUs one order needs, on one machine; default: the fewest sold."),
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Only offers in these countries, comma-separated ISO codes: DE,NL.")
    ] = None,
    region_group: Annotated[
        str | None, typer.Option(help=f"Only offers in a part of the world: {', '.join(NEAREST)}.")
    ] = None,
    hours: Annotated[str | None, typer.Option(help="How long one order runs; default: 1.")] = None,
    interruptible: Annotated[
        bool, typer.Option("--interruptible", help="Also capacity that its provider may take back.")
    ] = False,
    order: Annotated[str | None, typer.Option(help="What this order would have cost at the clouds.")] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Compare offers with AWS, Azure and GCP on demand, like for like; a saving may be negative.

    The cheapest offer of a compliant provider is held against each cloud's cheapest machine with the same GPU and room
    for the order, in the nearest part of the world; where a cloud lacks the GPU, against the nearest better one.
    """
    settings = settings_of(home)
    if order is not None:
        _nothing_beside(
            {"gpu": ",".join(gpu or []), "count": count, "country": country, "region-group": region_group}
            | {"hours": hours, "interruptible": interruptible}
        )
        _order_elsewhere(settings, order, json)
        return
    wanted = [_checked("gpu", name, wanted_gpu) for text in gpu or [] for name in _words(text)]
    question = Question(
        gpu_counts=(count,) if count else COUNT_CLASSES,
        hours=_hours(hours or "1"),
        countries=frozenset(_checked("country", code, country_code) for code in _words(country or "")),
        region_group=_group(region_group),
        interruptible=interruptible,
    )
    pin, frames = _inputs(settings)
    offers = _of_gpus(frames["provider_catalog"], wanted)
    comparison = compare_tables(
        offers, frames["cloud_prices"], frames["token_prices"], frames.get("compliance_scores"), question
    )
    rows, lacking = smallest(comparison), not_compared(offers, comparison, question)
    if json:
        shown = [_shown(row | _order_usd(row, question.hours)) for row in rows]
        asked = {
            "gpu_count": count,
            "hours": plain(question.hours),
            "countries": sorted(question.countries),
            "region_group": question.region_group,
            "interruptible": interruptible,
        }
        print_json(
            {"comparison": pin.model_dump(mode="json"), "question": asked, "rows": shown, "not_compared": lacking}
        )
        return
    print_comparison(rows, question.hours, lacking)


def _nothing_beside(options: Mapping[str, Any]) -> None:
    allowed = "leave it out: --order asks for what the order itself says"
    if faults := [Problem(name, value, allowed) for name, value in options.items() if value]:
        raise InvalidInput(faults)


def _order_elsewhere(settings: Settings, order_id: str, json: bool) -> None:
    with opened_books(settings.home) as books:
        order = books.order(order_id)
        decisions, charges = books.decisions(order_id), books.charges(order_id=order_id)
        lines = [line for invoice in books.invoices() for line in invoice.lines]
        modes = sorted({str(lease.mode) for lease in books.leases(order_id=order_id)})
    decision = next((d for d in reversed(decisions) if d.chosen), decisions[-1] if decisions else None)
    which, pin, clouds = _cloud_prices(settings, decision)
    found = elsewhere(order, decision, charges, lines, clouds)
    if json:
        print_json(
            {
                "order": {"id": order.id, "name": order.request.name, "state": order.state, "reason": order.reason},
                "here": _here(found) | {"decision_id": decision.id if decision else None, "modes": modes},
                "cloud_prices": pin.model_dump(mode="json") | {"which": which},
                "elsewhere": [_alternative(each) for each in found.alternatives],
            }
        )
        return
    print_elsewhere(order, found, modes, f"{which}, {pin.sha256[:12]} of {pin.observed_at[:16]}Z")


def _inputs(settings: Settings) -> tuple[InputPin, dict[str, pd.DataFrame]]:
    """The newest comparison's pin, and the tables it was made from: any other question is answered from the same."""
    import dagster as dg  # noqa: PLC0415 - takes seconds to import

    from necto_pipelines.journey.home import prepare_home  # noqa: PLC0415
    from necto_pipelines.resources.snapshots import newest_usable  # noqa: PLC0415

    home = prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        made = newest_usable(instance, "price_comparison")
    warehouse = Warehouse(settings.warehouse_url or home / "warehouse")
    return made.pin, {name: warehouse.read_frame(str(pin["sha256"])) for name, pin in made.inputs.items()}


def _cloud_prices(settings: Settings, decision: Decision | None) -> tuple[str, InputPin, pd.DataFrame]:
    """The cloud prices behind the comparison that the decision read; the newest ones when those cannot be found."""
    import dagster as dg  # noqa: PLC0415 - takes seconds to import

    from necto_pipelines.journey.home import prepare_home  # noqa: PLC0415
    from necto_pipelines.resources.snapshots import latest_snapshot, materializations  # noqa: PLC0415

    home = prepare_home(settings)
    warehouse = Warehouse(settings.warehouse_url or home / "warehouse")
    read = next((pin for pin in decision.inputs if pin.asset == "price_comparison"), None) if decision else None
    with dg.DagsterInstance.get() as instance:
        if read and read.storage_id is not None:
            for made in materializations(instance, read.asset, storage_id=read.storage_id, limit=1):
                source = made.inputs.get("cloud_prices")
                if source and made.sha256 == read.sha256 and warehouse.has(source["sha256"]):
                    for prices in materializations(instance, "cloud_prices", storage_id=source["storage_id"], limit=1):
                        return PINNED, prices.pin, warehouse.read_frame(source["sha256"])
        newest = latest_snapshot(instance, warehouse, "cloud_prices")
    return NEWEST, newest.pin, newest.frame


def _of_gpus(offers: pd.DataFrame, wanted: Iterable[str]) -> pd.DataFrame:
    names = set(wanted)
    return offers[offers["gpu_key"].isin(names) | offers["gpu_family"].isin(names)] if names else offers


def _order_usd(row: Mapping[str, Any], hours: Decimal) -> dict[str, Decimal]:
    return {
        "depin_usd_for_order": row["depin_usd_per_hour"] * hours,
        "cloud_usd_for_order": row["cloud_usd_per_hour"] * hours,
    }


def _here(found: Elsewhere) -> dict[str, Any]:
    here = found.here
    return _shown(
        {
            "gpu": here.gpu,
            "gpu_count": here.gpu_count,
            "hours": here.hours,
            "region_groups": sorted(here.region_groups),
            "usd": here.usd,
            "basis": here.basis,
        }
    )


def _alternative(each: Alternative) -> dict[str, Any]:
    machine = each.twin.machine
    return _shown(
        {
            "cloud": machine.cloud,
            "twin": each.twin.kind,
            "proxy_gpu": each.twin.proxy_gpu,
            "cloud_gpu_key": machine.gpu_key,
            "cloud_instance": machine.instance,
            "cloud_gpu_count": machine.gpu_count,
            "cloud_region": machine.region,
            "cloud_region_group": machine.region_group,
            "same_region_group": each.twin.same_region_group,
            "cloud_usd_per_gpu_hour": machine.usd_per_gpu_hour,
            "cloud_usd_per_hour": machine.usd_per_hour,
            "cloud_as_of": machine.as_of,
            "cloud_source": machine.source,
            "cloud_mode": machine.mode,
            "usd": each.usd,
            "saved_usd": each.saved_usd,
            "savings_pct": each.savings_pct,
            "cheapest": each.cheapest,
        }
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(value) for name, value in row.items()}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _checked(field: str, text: str, check: Any) -> str:
    try:
        return str(check(text))
    except ValueError as error:
        raise InvalidInput([Problem(field, text, str(error))]) from error


def _group(text: str | None) -> str | None:
    if text is not None and text not in NEAREST:
        raise InvalidInput([Problem("region-group", text, f"name one of {', '.join(NEAREST)}")])
    return text


def _hours(text: str) -> Decimal:
    try:
        hours = Decimal(text)
    except InvalidOperation:
        hours = Decimal(0)
    if not (hours.is_finite() and 0 < hours <= 8784):
        raise InvalidInput([Problem("hours", text, "write a number of hours above 0, at most 8784")])
    return hours
