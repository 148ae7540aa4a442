"""The one resource that assets, checks, ops and sensors ask for: Necto's runtime, opened on first use.

What it opens, and from which settings, stands in `procurement/runtime.py`. It takes no Dagster configuration at all:
secrets come from the environment and can neither be typed into a launchpad nor be shown in it.
"""

import dagster as dg
from pydantic import PrivateAttr

from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.settings import Settings


class RuntimeResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # the value is the resource itself
    """Books, warehouse, networks, price oracle, payment rail and clock, as the NECTO_* variables say."""

    _runtime: Runtime | None = PrivateAttr(default=None)

    def get(self) -> Runtime:
        """The runtime of this run or tick; opened at the first call."""
        if self._runtime is None:
            self._runtime = Runtime.open(Settings())
        return self._runtime

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close what `get` opened."""
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None


def prepared(runtime: Runtime) -> RuntimeResource:
    """A resource that hands out `runtime` and leaves closing it to whoever opened it.

    A subclass and not an attribute, because Dagster builds the resource anew for each run.
    """

    class PreparedRuntime(RuntimeResource):
        """A runtime that was opened elsewhere."""

        def get(self) -> Runtime:
            return runtime

    return PreparedRuntime()
