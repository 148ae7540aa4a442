"""Orders that bring an Akash SDL document instead of a requirement: made here, and held against their document.

What such a document may say stands in `networks/akash/sdl_order.py`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.model.order import OrderRequest
from necto_pipelines.networks.akash.pricing import CONSOLE_BLOCK_SECONDS
from necto_pipelines.networks.akash.sdl_order import ceiling_usd_per_hour, requirement_of
from necto_pipelines.procurement.order_document import order_of

AKASH: Final = "akash"
_ANY_HOURS: Final = Decimal(1)
_PRICE_STEP: Final = Decimal("1E-6")
_OWN_FIELDS: Final = ("gpu", "cpu_cores", "memory_gib", "disk_gib", "image")


def order_from_sdl(
    sdl_text: str, fields: Mapping[str, object], *, hours: str, countries: Sequence[str] = ()
) -> OrderRequest:
    """An order for what the document needs, at Akash only; `fields` are those of `OrderRequest` besides, None for none.

    Where the document's own ceiling is in dollars (`uact`) it becomes the most per GPU-hour, if `fields` name no other.
    Raises `InvalidSdl` for the document and InvalidInput for the fields.
    """
    requirement = requirement_of(sdl_text, hours=_ANY_HOURS)
    ceiling = ceiling_usd_per_hour(sdl_text, CONSOLE_BLOCK_SECONDS)
    own = (ceiling / requirement.gpu.count).quantize(_PRICE_STEP) if ceiling else None
    given = {"max_usd_per_gpu_hour": own} | {name: value for name, value in fields.items() if value is not None}
    policy = {"networks": [AKASH], "countries": list(countries)}
    return order_of(given | {"requirement": requirement.model_dump() | {"hours": hours}, "policy": policy})


def check_sdl(request: OrderRequest) -> None:
    """Raise InvalidInput unless an order with a document says of its needs what the document says."""
    need = request.requirement
    if need.sdl is None:
        return
    if request.policy.networks != (AKASH,):
        allowed = "an SDL document can be placed at Akash only: write networks: [akash]"
        raise InvalidInput([Problem("policy.networks", list(request.policy.networks), allowed)])
    said = requirement_of(need.sdl, hours=need.hours)
    problems = [
        Problem(f"requirement.{name}", str(getattr(need, name)), f"the SDL document says {getattr(said, name)}")
        for name in _OWN_FIELDS
        if getattr(need, name) != getattr(said, name)
    ]
    if problems:
        raise InvalidInput(problems)
