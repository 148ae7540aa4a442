"""Opens Aethir as the settings say: the rate card when there is one, else the sandbox, else nothing but the reason."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.aethir.adapter import AethirNetwork
from necto_pipelines.networks.aethir.quoted import QuotedAethir
from necto_pipelines.networks.port import Network
from necto_pipelines.settings import Settings

SANDBOX_ACCESS_KEY: Final = "ak_sandbox_" + "0" * 16
SANDBOX_SECRET_KEY: Final = SecretStr("sk_sandbox_" + "0" * 48)
"""the pair opens nothing but the sandbox's own account"""


def open_aethir(settings: Settings, clock: Clock) -> Network:
    """The network; nothing is called yet. What a rate card really quotes is never bought in the simulation."""
    if settings.aethir_rate_card is not None or settings.aethir_mode == "live":
        return QuotedAethir(settings.aethir_rate_card, clock=clock)
    return AethirNetwork(
        base_url=aethir_url(settings),
        access_key=SANDBOX_ACCESS_KEY,
        secret_key=SANDBOX_SECRET_KEY,
        clock=clock,
        timeout_s=settings.request_timeout_s,
    )


def aethir_url(settings: Settings) -> str:
    """Where the tenant API is simulated; Aethir has none."""
    return f"{settings.sandbox_url}/aethir"
