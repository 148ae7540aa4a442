"""What a source of cloud prices can do. Which ones are open is `market/registry.py`'s business."""

from typing import Protocol

from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import CloudPrice, SourceMode


class CloudSource(Protocol):
    """A source of on-demand prices of GPU machines. Calls are safe from any thread."""

    name: str
    mode: SourceMode

    def prices(self) -> Listing[CloudPrice]:
        """Every price that can be believed, and what was set aside with the reason. One row per machine and region.

        Raises `Unavailable` or `Refused` when the source gave no price list at all.
        """
