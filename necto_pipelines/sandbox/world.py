"""The whole simulated world of one sandbox: its clock, its parts, and the file in which it survives a restart."""

import os
import tempfile
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field

from necto_pipelines.model.clock import Clock
from necto_pipelines.sandbox.addresses import address_of
from necto_pipelines.sandbox.aethir import Aethir, AethirState
from necto_pipelines.sandbox.blocks import BlockClock
from necto_pipelines.sandbox.chain import STARTING_CREDIT, Chain
from necto_pipelines.sandbox.dispersed import Dispersed, DispersedState
from necto_pipelines.sandbox.faults import Faults
from necto_pipelines.sandbox.feed import Feed, FeedState
from necto_pipelines.sandbox.fleet import Fleet, Overrides
from necto_pipelines.sandbox.rail import Rail, RailState
from necto_pipelines.sandbox.records import ChainState
from necto_pipelines.sandbox.render_jobs import RenderJobsState, RenderPortal


class WorldState(BaseModel):
    """What the state file holds."""

    simulated: bool = True
    seed: int
    chain: ChainState
    feed: FeedState = Field(default_factory=FeedState)
    rail: RailState = Field(default_factory=RailState)
    dispersed: DispersedState = Field(default_factory=DispersedState)
    aethir: AethirState = Field(default_factory=AethirState)
    render_jobs: RenderJobsState = Field(default_factory=RenderJobsState)
    overrides: Overrides = Field(default_factory=Overrides)


class World:
    """Everything the routes work on. `now` first, then read or change, then `save` if something was changed."""

    def __init__(self, clock: Clock, seed: int, state_path: Path | None) -> None:
        self._clock = clock
        self._path = state_path
        self._state = self._load(seed)
        seed = self._state.seed
        self.owner = address_of(seed, "tenant")
        self.seed = seed
        self.blocks = BlockClock(seed)
        self.faults = Faults()
        self.fleet = Fleet(seed, self._state.overrides, lambda address: self.faults.kills("/akash", address))
        self.chain = Chain(seed, self.fleet, self.blocks, self._state.chain)
        self.feed = Feed(seed, self._state.feed)
        self.rail = Rail(seed, self.feed, self._state.rail)
        self.dispersed = Dispersed(
            seed, self._state.dispersed, lambda offer_id: self.faults.kills("/dispersed", offer_id)
        )
        self.aethir = Aethir(seed, self.feed, self._state.aethir)
        self.render_portal = RenderPortal(seed, self._state.render_jobs)

    def now(self) -> datetime:
        """The time, after everything due by then has happened. Time that went back is held at its latest."""
        self.chain.advance(self._clock.now())
        return self.chain.state.advanced_to

    def save(self) -> None:
        """Write the state file whole or not at all. Called after changes, never after reads."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(self._state.model_dump_json())
        Path(name).replace(self._path)

    def _load(self, seed: int) -> WorldState:
        if self._path is not None and self._path.exists():
            return WorldState.model_validate_json(self._path.read_text(encoding="utf-8"))
        return WorldState(seed=seed, chain=ChainState(advanced_to=self._clock.now(), wallet=STARTING_CREDIT))
