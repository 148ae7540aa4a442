"""Everything a use case needs, opened once from the settings and passed along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from necto_pipelines.audit.registry import REGISTRY
from necto_pipelines.books.books import Actor, Books
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.oracles import PriceOracle
from necto_pipelines.market.rails import Rail
from necto_pipelines.market.registry import open_cloud_sources, open_oracle, open_rail
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.order import Policy
from necto_pipelines.networks.port import Network
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.settings import Settings
from necto_pipelines.warehouse.warehouse import Warehouse

SIGN_EVERY_S: Final = 1.0
"""how long a change of the books may stay unsigned while others follow it; the end of a run signs at once"""


@dataclass(frozen=True)
class Runtime:
    """Handles on the books, the warehouse and the outside world, and the rules of the house."""

    settings: Settings
    clock: Clock
    books: Books
    warehouse: Warehouse
    networks: Mapping[str, Network]
    oracle: PriceOracle
    rail: Rail
    clouds: Sequence[CloudSource] = ()
    house_policy: Policy = field(default_factory=Policy)

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> "Runtime":
        """Open everything below `settings.home`; the books are created or migrated when needed.

        `clock` replaces the one the settings name: time in a test's hand.
        """
        clock = clock or settings.clock()
        return cls(
            settings=settings,
            clock=clock,
            books=open_books(settings, clock),
            warehouse=Warehouse(settings.warehouse_url or settings.home / "warehouse"),
            networks=open_networks(settings, clock),
            oracle=open_oracle(settings, clock),
            rail=open_rail(settings, clock),
            clouds=open_cloud_sources(settings, clock),
        )

    def close(self) -> None:
        """Give back the database's connections."""
        self.books.close()

    @property
    def invoice_folder(self) -> Path:
        """Where invoice files are written, one folder a month."""
        return self.settings.home / "invoices"


def open_books(settings: Settings, clock: Clock) -> Books:
    """The books alone: enough to read, audit and submit, without any network."""
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    url = settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{home / 'books.db'}"
    return Books.open(
        url,
        clock=clock,
        keys=home / "keys",
        checkpoints=home / "audit" / "checkpoints",
        origin=settings.log_origin,
        publish=REGISTRY,
        sign_every_s=SIGN_EVERY_S,
    )


def service(name: str, *, run_id: str | None = None, job: str | None = None, step: str | None = None) -> Actor:
    """The actor to write into the trail when a part of Necto acts by itself."""
    return Actor(kind="service", name=name, run_id=run_id, job=job, step=step)
