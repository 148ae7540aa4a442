"""Necto's runtime with everything outside replaced, and real Dagster around it.

world = World(tmp_path)
world.materialize(instance, [asset])
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg

from necto_pipelines.audit.verify import StoredLeaf
from necto_pipelines.books.books import Books
from necto_pipelines.market.clouds.reference import ReferencePrices
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.gpu import Gpu
from necto_pipelines.model.offer import Offer, PriceBasis, ProviderEvidence, SourceMode, TokenPrice
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.parquet_io import PARQUET_IO, parquet_io_manager
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.settings import Settings
from necto_pipelines.warehouse.warehouse import Warehouse

AUDITOR = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"


def answer(body: bytes, at: datetime) -> RawAnswer:
    """A source's answer with these bytes."""
    return RawAnswer(
        url="https://source.example/list", body=body, sha256=hashlib.sha256(body).hexdigest(), received_at=at
    )


def offer(raw: RawAnswer, **changes: Any) -> Offer:
    """A plain offer of one H100, with the fields to change."""
    values: dict[str, Any] = {
        "network": "akash",
        "provider": "akash1alpha",
        "provider_name": "alpha.example",
        "gpu": Gpu(family="H100", vram_gib=80),
        "units_available": 8,
        "max_gpus_per_order": 8,
        "cpu_cores": 64.0,
        "memory_gib": 512.0,
        "disk_gib": 4000.0,
        "country": "DE",
        "region": None,
        "usd_per_gpu_hour": Decimal("1.25"),
        "price_basis": PriceBasis.LIST,
        "native_amount": Decimal("1.25"),
        "native_unit": "USD/hour",
        "block_seconds": None,
        "interruptible": False,
        "observed_at": raw.received_at,
        "source": "test",
        "mode": SourceMode.SANDBOX,
        "raw_sha256": raw.sha256,
    } | changes
    values.setdefault("offer_id", f"{values['network']}:{values['provider']}:{values['gpu'].key}")
    return Offer(**values)


def evidence(raw: RawAnswer, **changes: Any) -> ProviderEvidence:
    """Evidence that satisfies the house policy, with the fields to change."""
    values: dict[str, Any] = {
        "network": "akash",
        "provider": "akash1alpha",
        "provider_name": "alpha.example",
        "is_online": True,
        "is_valid_version": True,
        "audited_by": (AUDITOR,),
        "audited_attributes": (("location-region", "eu-central", AUDITOR), ("tier", "community", AUDITOR)),
        "country": "DE",
        "uptime_7d": 1.0,
        "observed_at": raw.received_at,
        "raw_sha256": raw.sha256,
    }
    return ProviderEvidence(**(values | changes))


@dataclass
class FakeNetwork:
    """The port's two listings, as the test sets them."""

    name: str
    listing: Listing[Offer]
    known: Listing[ProviderEvidence]
    mode: SourceMode = SourceMode.SANDBOX
    paid_in: str = "USD"
    binding_bids: bool = False

    def offers(self) -> Listing[Offer]:
        return self.listing

    def evidence(self) -> Listing[ProviderEvidence]:
        return self.known


@dataclass
class FakeOracle:
    """One price for every token."""

    usd: Decimal
    clock: FrozenClock
    mode: SourceMode = SourceMode.SANDBOX

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        raw = answer(f"{self.usd} {self.clock.now()}".encode(), self.clock.now())
        rows = tuple(
            TokenPrice(
                token=token,
                usd=self.usd,
                published_at=raw.received_at,
                observed_at=raw.received_at,
                source="test",
                mode=self.mode,
                raw_sha256=raw.sha256,
            )
            for token in tokens
        )
        return Listing(rows=rows, raw=(raw,))


class WithoutTrail:
    """Books that keep no trail, around whatever else the test's books can do: leaves are counted and forgotten."""

    def __init__(self, books: Any) -> None:
        self._books = books
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    @contextmanager
    def change(self, actor: Any) -> Iterator["WithoutTrail"]:
        with self._books.change(actor) if hasattr(self._books, "change") else nullcontext() as change:
            yield WithoutTrail(change)

    def start_run(self, planned: Sequence[str], inputs: Sequence[Any] = ()) -> None: ...

    def note(self, kind: str, *facts: Any, **more: Any) -> int:
        self._size += 1
        return self._size - 1

    def leaves(self, start: int, stop: int) -> list[StoredLeaf]:
        return [StoredLeaf(index, b"", b"") for index in range(start, stop)]


@dataclass
class World:
    """A runtime below `home` and the resources that hand it to Dagster. `books` may be any object."""

    home: Path
    books: Any = None
    others: dict[str, Any] = field(default_factory=dict)
    """networks beside Akash"""
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC)))

    def __post_init__(self) -> None:
        raw = answer(b"[]", self.clock.now())
        self.network = FakeNetwork(
            "akash", Listing(rows=(offer(raw),), raw=(raw,)), Listing(rows=(evidence(raw),), raw=(raw,))
        )
        self.oracle = FakeOracle(Decimal("0.60"), self.clock)
        self.warehouse = Warehouse(self.home / "warehouse")
        if not isinstance(self.books, Books):
            self.books = WithoutTrail(self.books)

    @property
    def runtime(self) -> Runtime:
        """What assets and ops are handed."""
        return Runtime(
            settings=Settings(home=self.home),
            clock=self.clock,
            books=self.books,
            warehouse=self.warehouse,
            clouds=[ReferencePrices(cloud) for cloud in ("aws", "azure", "gcp")],
            networks={"akash": self.network, **self.others},
            oracle=self.oracle,
            rail=None,
        )

    @property
    def resources(self) -> dict[str, Any]:
        """For `dg.materialize` and `build_definitions`."""
        return {"runtime": prepared(self.runtime), PARQUET_IO: parquet_io_manager}

    def materialize(
        self, instance: dg.DagsterInstance, assets: Sequence[Any], **options: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialize in this process on `instance`; other assets may be given and left out by `selection`."""
        return dg.materialize(list(assets), instance=instance, resources=self.resources, **options)

    def offer_rows(self, *rows: dict[str, Any], body: bytes = b"offers") -> None:
        """From now on the network answers `body` and offers these."""
        raw = answer(body, self.clock.now())
        self.network.listing = Listing(rows=tuple(offer(raw, **row) for row in rows), raw=(raw,))
