"""Every NECTO_* variable, once."""

from datetime import date
from decimal import Decimal
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


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return f"NECTO_{field.upper()}"


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
    aethir_mode: Mode = "sandbox"
    """live: offers of the rate card only, because Aethir publishes no API for buying"""
    aethir_rate_card: Path | None = None
    """a .yaml or .csv file with what Aethir or a reseller quoted; it takes the place of the simulated offers"""
    extra_networks: tuple[str, ...] = ()
    """further networks as `module:function`; the function takes (settings, clock) and gives a Network"""

    aws_mode: CloudMode = "snapshot"
    aws_prices_url: str = ""
    azure_mode: CloudMode = "snapshot"
    azure_prices_url: str = ""
    gcp_mode: CloudMode = "snapshot"
    gcp_prices_url: str = ""
    gcp_api_key: SecretStr | None = None

    skypilot_catalogs: Path | None = None
    """a folder of price lists in SkyPilot's format, `<cloud>/vms.csv` or `v8/<cloud>/vms.csv`: further clouds"""
    skypilot_as_of: date | None = None
    """the date of the prices in the lists that have none beside them (`as-of.txt`)"""

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

    watch_interval_s: int = Field(default=30, gt=0)
    """how often every active lease is looked at"""
    watch_timeout_s: float = Field(default=20.0, gt=0)
    """how long one look at all leases of a network may take; who has not answered by then is unknown"""
    failover_grace_s: int = Field(default=180, gt=0)
    """how long a lease may be unhealthy before it is given up"""
    unknown_grace_s: int = Field(default=900, gt=0)
    """how long nothing may be known of a lease before it is given up"""
    failure_domain_rest_s: int = Field(default=3600, ge=0)
    """how long an order is not placed again where its lease failed: that region and organisation, or network"""
    max_usd_per_provider: Decimal | None = Field(default=None, gt=0)
    """the most that leases at one provider together may cost; unset: no limit"""
    max_usd_per_network: Decimal | None = Field(default=None, gt=0)
    max_failovers: int = Field(default=3, ge=0)
    """how often the job of one order is placed anew after its lease failed"""
    telemetry_keep_days: int = Field(default=30, gt=0)
    """older telemetry is dropped; changes of health stay in the audit trail for ever"""
    log_origin: str = "necto.local/audit"
    """name of the audit log in its checkpoints (C2SP origin line): schema-less, never changed once in use"""
    anchor_copies: tuple[str, ...] = ()
    """folders or fsspec URLs, without passwords, that take a copy of the newest checkpoint"""
    anchor_webhooks: tuple[SecretStr, ...] = ()
    """addresses that the newest checkpoint is posted to as text"""
    timestamp_url: SecretStr | None = None
    """a time-stamping authority (RFC 3161 over HTTP) for the newest checkpoint"""
    timestamp_roots: Path | None = None
    """a PEM file with the certificates that the authority's timestamps must lead to"""
    anchor_interval_s: int = Field(default=3600, gt=0)
    """how often each of these places gets the newest checkpoint, as long as something was logged"""

    @property
    def sandbox_url(self) -> str:
        """Where the simulated networks listen."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def simulated(self) -> bool:
        """True when any source is the sandbox: shown on every screen and document."""
        aethir = "live" if self.aethir_rate_card else self.aethir_mode
        return "sandbox" in (self.akash_mode, self.dispersed_mode, aethir, self.prices_mode, self.rail_mode)

    def given(self, *fields: str) -> tuple[str, ...]:
        """The variables behind those of `fields` that were set, by name; what they are set to is nobody's business."""
        return tuple(variable(name) for name in fields if name in self.model_fields_set and getattr(self, name))

    def clock(self) -> Clock:
        """Simulated time while the market is simulated, real time otherwise."""
        return self.sandbox_clock() if self.akash_mode == "sandbox" else SystemClock()

    def sandbox_clock(self) -> SandboxClock:
        """The shared clock of the sandbox and the processes of this home."""
        return SandboxClock(self.home / "sandbox" / "clock.json")
