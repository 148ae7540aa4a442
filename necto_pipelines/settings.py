"""Every NECTO_* variable, once."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from necto_pipelines.clock import SandboxClock
from necto_pipelines.model.clock import Clock, SystemClock

Mode = Literal["sandbox", "live"]
CloudMode = Literal["snapshot", "sandbox", "live"]


def default_home() -> Path:
    """`.necto` in the working directory, as `git` finds `.git`: the nearest one at or above it, else a new one here."""
    here = Path.cwd()
    found = next((folder / ".necto" for folder in (here, *here.parents) if (folder / ".necto").is_dir()), None)
    return found or here / ".necto"


class Settings(BaseSettings):
    """Where Necto keeps its files, which sources are live, and the limits it works under."""

    model_config = SettingsConfigDict(env_prefix="NECTO_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default_factory=default_home)
    """books, warehouse, Dagster's own storage, keys and invoices live below it"""
    database_url: SecretStr | None = None
    """PostgreSQL for the books and Dagster; unset means SQLite below `home`"""
    warehouse_url: str = ""
    """where tables and raw answers are kept: any fsspec URL, for example s3://bucket/necto; unset: below `home`"""

    akash_mode: Mode = "sandbox"
    akash_api_url: str = ""
    """unset: the sandbox's address, or the network's own in live mode; so for every address below"""
    akash_api_key: SecretStr | None = None
    akash_chain_urls: tuple[str, ...] = ()
    """chain REST hosts, asked in this order"""
    dispersed_mode: Mode = "sandbox"
    dispersed_api_url: str = ""
    dispersed_public_key: str = ""
    dispersed_secret_key: SecretStr | None = None
    extra_networks: tuple[str, ...] = ()
    """further networks as `module:function`; the function takes (settings, clock) and gives a Network"""

    aws_mode: CloudMode = "snapshot"
    aws_prices_url: str = ""
    azure_mode: CloudMode = "snapshot"
    azure_prices_url: str = ""
    gcp_mode: CloudMode = "snapshot"
    gcp_prices_url: str = ""
    gcp_api_key: SecretStr | None = None

    prices_mode: Mode = "sandbox"
    """the token price sources together"""
    coingecko_api_url: str = ""
    coingecko_api_key: SecretStr | None = None
    pyth_api_url: str = ""
    pyth_api_key: SecretStr | None = None
    """without it Pyth is left out in live mode: since 2026-08-18 it answers nobody else"""
    coinbase_api_url: str = ""
    token_price_max_deviation_bps: int = Field(default=150, gt=0)
    """sources further apart than this stop a conversion"""
    rail_mode: Literal["sandbox"] = "sandbox"
    """no live payment rail exists yet: conversions are simulated and labelled so"""
    sandbox_port: int = Field(default=8790, ge=1, le=65535)
    webserver_port: int = Field(default=3000, ge=1, le=65535)

    request_timeout_s: float = Field(default=30.0, gt=0)
    token_price_max_age_s: int = Field(default=300, gt=0)
    """older prices stop a conversion"""
    catalog_max_age_s: int = Field(default=3600, gt=0)
    """older offers are not routed to"""
    bid_wait_s: float = Field(default=90.0, gt=0)
    """how long to wait for bids after a deployment was created; networks advise 30 to 60 s"""
    bid_collect_s: float = Field(default=60.0, ge=0)
    """how long bids are collected before the cheapest is taken, even when one came at once"""
    ready_wait_s: float = Field(default=300.0, gt=0)
    """how long a provider may take to run the job after the lease; its images must be pulled in that time"""
    bid_poll_s: float = Field(default=3.0, gt=0)
    retry_wait_s: int = Field(default=60, gt=0)
    """how long an order waits before it is tried again"""
    log_origin: str = "necto.local/audit"
    """name of the audit log in its checkpoints (C2SP origin line): schema-less, never changed once in use"""

    @property
    def sandbox_url(self) -> str:
        """Where the simulated networks listen."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def simulated(self) -> bool:
        """True when any source is the sandbox: shown on every screen and document."""
        return "sandbox" in (self.akash_mode, self.dispersed_mode, self.prices_mode, self.rail_mode)

    def clock(self) -> Clock:
        """Simulated time while the market is simulated, real time otherwise."""
        return self.sandbox_clock() if self.akash_mode == "sandbox" else SystemClock()

    def sandbox_clock(self) -> SandboxClock:
        """The shared clock of the sandbox and the processes of this home."""
        return SandboxClock(self.home / "sandbox" / "clock.json")
