"""`necto render`: what a rendering job on Render would cost."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from necto_pipelines.cli.output import AsJson, print_json, print_table
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.money import plain
from necto_pipelines.networks.render.octanebench import TIERS, Estimate, estimate, ob_hours_of

app = typer.Typer(help="Rendering jobs on Render: estimates only, it publishes no API.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `estimate` a command of its own while it is the only one."""


@app.command("estimate")
def estimate_cost(
    ob_hours: Annotated[str | None, typer.Option(help="Work in OctaneBench-hours.")] = None,
    scene_minutes: Annotated[
        str | None, typer.Option(help="Minutes one frame takes on your machine; with --ob-score and --frames.")
    ] = None,
    ob_score: Annotated[str | None, typer.Option(help="OctaneBench score of that machine.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of the scene.")] = 1,
    tier: Annotated[int | None, typer.Option(help="Only this tier: 2 (Priority) or 3 (Economy).")] = None,
    json: AsJson = False,
) -> None:
    """Estimate a rendering job in EUR credits, from published rates; uploading and processing are not in it."""
    work = _work(ob_hours, scene_minutes, ob_score, frames)
    wanted = [tier] if tier is not None else [number for number, known in TIERS.items() if known.released]
    estimates = [estimate(work, number) for number in wanted]
    if json:
        print_json({"ob_hours": plain(work), "estimates": [_row(each) for each in estimates]})
        return
    print_table(
        f"{plain(work)} OctaneBench-hours on Render",
        ("tier", "name", "OBh per EUR", "EUR credits", "as of", "source"),
        ((e.tier.number, e.tier.name, e.tier.ob_hours_per_eur, e.eur, e.tier.as_of, e.tier.source) for e in estimates),
        right=("OBh per EUR", "EUR credits"),
    )


def _work(ob_hours: str | None, scene_minutes: str | None, ob_score: str | None, frames: int) -> Decimal:
    """OctaneBench-hours, told or reckoned from one frame."""
    if (ob_hours is None) == (scene_minutes is None):
        raise InvalidInput([Problem("ob-hours", ob_hours, "give either --ob-hours or --scene-minutes with --ob-score")])
    if ob_hours is not None:
        return _number("ob-hours", ob_hours)
    if ob_score is None:
        raise InvalidInput([Problem("ob-score", None, "--scene-minutes needs the OctaneBench score of that machine")])
    return ob_hours_of(_number("ob-score", ob_score), _number("scene-minutes", scene_minutes or ""), frames)


def _number(option: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput([Problem(option, text, "write a number such as 1200 or 2.5")]) from None


def _row(each: Estimate) -> dict[str, object]:
    return {
        "tier": each.tier.number,
        "name": each.tier.name,
        "ob_hours_per_eur": each.tier.ob_hours_per_eur,
        "eur": str(each.eur),
        "price_basis": "estimate",
        "as_of": each.tier.as_of,
        "source": each.tier.source,
        "note": each.tier.note,
    }
