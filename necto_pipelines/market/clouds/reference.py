"""On-demand GPU prices of AWS, Azure and GCP from the reference table that ships with Necto.

The table is a dated snapshot, labelled so in every row; `scripts/build_cloud_reference.py` makes it and says which
published rows it leaves out and why. It is what is shown without network, and what the gate measures catalogues by.
"""

import csv
import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Final

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.gpu import normalise_gpu
from necto_pipelines.model.offer import CloudPrice, SourceMode

ROOM: Final = "necto_pipelines.market"
REFERENCE: Final = "reference/cloud_gpu_prices.csv"
GATHERED_AT: Final = datetime(2026, 11, 22, tzinfo=UTC)
"""the day the figures were gathered; each row carries the date of its own figure as well"""


class ReferencePrices:
    """The dated table's rows of one cloud, as a source."""

    mode = SourceMode.SNAPSHOT

    def __init__(self, cloud: str) -> None:
        self.name = cloud

    def prices(self) -> Listing[CloudPrice]:
        """As `CloudSource.prices`; nothing is fetched, so it never fails."""
        listing = reference_cloud_prices()
        return Listing(
            rows=tuple(row for row in listing.rows if row.cloud == self.name),
            raw=listing.raw,
            quarantined=tuple(entry for entry in listing.quarantined if entry[0].startswith(f"{self.name} ")),
        )


def reference_cloud_prices() -> Listing[CloudPrice]:
    """Every row of the packaged table, priced per machine and per GPU (machine price / GPU count, exactly).

    A row whose GPU is not in the vocabulary is quarantined with that reason. The raw answer is the table itself.
    """
    body = files(ROOM).joinpath(REFERENCE).read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    rows: list[CloudPrice] = []
    quarantined: list[tuple[str, str]] = []
    for line in csv.DictReader(body.decode("utf-8").splitlines()):
        gpu = normalise_gpu(line["gpu"])
        if gpu is None:
            quarantined.append((f"{line['cloud']} {line['instance']} {line['region']}", f"unknown GPU {line['gpu']!r}"))
            continue
        count, usd_per_hour = int(line["gpu_count"]), Decimal(line["usd_per_hour"])
        rows.append(
            CloudPrice(
                cloud=line["cloud"],
                instance=line["instance"],
                gpu=gpu,
                gpu_count=count,
                region=line["region"],
                usd_per_hour=usd_per_hour,
                usd_per_gpu_hour=usd_per_hour / count,
                as_of=line["as_of"],
                source=line["source"],
                mode=SourceMode.SNAPSHOT,
                raw_sha256=sha256,
            )
        )
    raw = RawAnswer(url=f"package:{ROOM}/{REFERENCE}", body=body, sha256=sha256, received_at=GATHERED_AT)
    return Listing(rows=tuple(rows), raw=(raw,), quarantined=tuple(quarantined))
