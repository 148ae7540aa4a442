"""`necto route`: what routing would do with orders, and what it would cost. Nothing is bought, written or claimed.

How the answer is shown stands in `route_answers.py`.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, TypeAdapter, ValidationError

from necto_pipelines.books.books import Books
from necto_pipelines.cli.documents import read_document
from necto_pipelines.cli.output import AsJson, Home, opened_books, print_json, settings_of
from necto_pipelines.cli.route_answers import Asked, as_document, print_answer
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.money import ExactDecimal
from necto_pipelines.model.order import Order, OrderRequest, Policy, Slug
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.procurement.order_document import MAX_BYTES_OF_MANY, read_orders, read_policy
from necto_pipelines.procurement.outcomes import lease_outcomes
from necto_pipelines.procurement.what_if import House, drafts, past_orders, what_if

_BUDGET: TypeAdapter[tuple[str, Decimal]] = TypeAdapter(
    tuple[Slug, Annotated[ExactDecimal, Field(ge=0, le=10**12, decimal_places=2)]]
)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def route(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...", help="Order documents (YAML), each with one order or a list `orders`; - reads input."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Instead of files: the orders in the books submitted since this month, YYYY-MM.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Change nothing; the only way there is.")
    ] = True,
    policy: Annotated[Path | None, typer.Option(help="Policy (YAML) in place of the house policy.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="COST_CENTRE=USD in place of its budget in the books; may be repeated.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also every refused offer, with its reasons.")] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Price orders against the newest checked catalog: decisions, alternatives, refusals, and what it all costs."""
    from necto_pipelines.journey.reading import read_asset  # noqa: PLC0415 - Dagster takes seconds to import

    if not dry_run:
        allowed = "orders are routed by submitting them: `necto order submit FILE`"
        raise InvalidInput([Problem("dry-run", "--no-dry-run", allowed)])
    if bool(files) == (since is not None):
        raise InvalidInput([Problem("FILE", None, "name order documents, or a month with --since, and not both")])
    settings = settings_of(home)
    now = settings.clock().now()
    house_policy = read_policy(read_document(policy)) if policy else Policy()
    given = dict(_budget(text) for text in budget or ())
    first = _month(since) if since else None
    catalog, evidence = read_asset(settings, "provider_catalog"), read_asset(settings, "provider_evidence")
    with opened_books(home) as books:
        orders = past_orders(books.orders(), first) if first else drafts(_requests(files or []), now)
        budgets = _budgets(books, orders, given, replayed=first is not None)
        earlier = {order.id: found[-1] for order in orders if first and (found := books.decisions(order.id))}
        outcomes = lease_outcomes(books, now)
    networks = open_networks(settings, settings.clock())
    house = House(
        now=now,
        policy=house_policy,
        max_offer_age=timedelta(seconds=settings.catalog_max_age_s),
        account_networks=[name for name, network in networks.items() if network.paid_in != "ACT"],
        bidding=[name for name, network in networks.items() if network.binding_bids],
        outcomes=outcomes,
    )
    answer = what_if(orders, catalog.frame, evidence.frame, budgets, house)
    modes = sorted(set(catalog.frame["mode"]))
    asked = Asked(house, budgets, (catalog.pin, evidence.pin), modes, earlier, since)
    if json:
        print_json(as_document(answer, asked, explain=explain))
    else:
        print_answer(answer, asked, explain=explain)


def _requests(files: Sequence[Path]) -> list[OrderRequest]:
    """The orders of all files. InvalidInput names the file of each fault where there are several."""
    requests: list[OrderRequest] = []
    problems: list[Problem] = []
    for file in files:
        try:
            requests += read_orders(read_document(file, MAX_BYTES_OF_MANY))
        except InvalidInput as fault:
            where = f"{file}: " if len(files) > 1 else ""
            problems += [Problem(f"{where}{p.field}", p.value, p.allowed) for p in fault.problems]
    if problems:
        raise InvalidInput(problems)
    return requests


def _budgets(books: Books, orders: Sequence[Order], given: dict[str, Decimal], *, replayed: bool) -> dict[str, Decimal]:
    """Dollars left for each cost centre of the orders: as given, else as the books say.

    Orders that are replayed have drawn on their budgets already, so they get the whole limit.
    """
    known = {b.cost_centre: b.limit_usd if replayed else b.available_usd for b in books.budgets()} | given
    wanted = sorted({order.request.cost_centre for order in orders})
    names = ", ".join(sorted(known)) or "none yet"
    problems = [
        Problem("cost_centre", name, f"cost centres with a budget are: {names}; or give one: --budget {name}=500")
        for name in wanted
        if name not in known
    ]
    problems += [
        Problem("budget", name, f"no order is charged to it; these are: {', '.join(wanted) or 'none'}")
        for name in sorted(given.keys() - set(wanted))
    ]
    if problems:
        raise InvalidInput(problems)
    return {name: known[name] for name in wanted}


def _budget(text: str) -> tuple[str, Decimal]:
    try:
        return _BUDGET.validate_python(tuple(text.split("=", 1)))
    except ValidationError:
        allowed = "write COST_CENTRE=USD with an amount from 0 and at most 2 decimals, such as research=500"
        raise InvalidInput([Problem("budget", text, allowed)]) from None


def _month(text: str) -> datetime:
    found = _MONTH.fullmatch(text)
    if not found or found[1] == "0000":
        raise InvalidInput([Problem("since", text, "write a month as YYYY-MM, for example 2026-11")])
    return datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
