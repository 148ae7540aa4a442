"""Price lists in SkyPilot's catalogue format (`vms.csv` of v5 to v8), which several projects publish.

What makes them hard to read, all of it found in published files:

* Azure's last column holds an unquoted `V1,V2`, so rows have a field too many
* an empty or zero price means "not sold", an empty or zero spot price "no spot"; where there is no spot, some files
  repeat the on-demand price
* GPU counts may be fractions (Azure's NV machines rent out a sixth of an A10)
* GCP's machines and GPUs stand in rows of their own: what is paid is both, of the same zone (skypilot-catalog issue 31)
* one column states GPU memory per card, per machine or in GB, by the file
* zones stand beside regions, and on AWS they are ids (`use1-az1`)

The rows are claims only: such files have been wrong by a factor of two. They pass the gate before they are prices.
"""

import ast
import csv
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer, wrong_shape
from necto_pipelines.market.clouds.claims import PriceClaim
from necto_pipelines.market.clouds.machines import SHARE_OF_A_GPU, machines_of
from necto_pipelines.market.clouds.plausibility import screen
from necto_pipelines.market.clouds.reference import reference_cloud_prices
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.gpu import Gpu, normalise_gpu
from necto_pipelines.model.offer import CloudPrice, SourceMode

LABEL: Final = "skypilot:"
"""before the cloud's name wherever the prices appear: such a list is somebody's copy, and not the cloud's own word"""
MARKETPLACES: Final = frozenset({"vast", "lium", "shadeform"})
"""many sellers under one name: prices of one region say nothing about another"""
MEMORY_OF_THE_MACHINE: Final = frozenset({"vast"})
"""files whose `SizeInMiB` is that of all cards together"""
LEAST_MIB: Final = 1024
"""shadeform writes GB into the column of MiB; no card has less than a GiB"""

GCP_MACHINES: Final[Mapping[str, str]] = {
    "A100": "a2-highgpu-{n}g", "A100-80GB": "a2-ultragpu-{n}g", "H100": "a3-highgpu-{n}g",
    "H100-MEGA": "a3-megagpu-{n}g", "H200": "a3-ultragpu-{n}g", "B200": "a4-highgpu-{n}g",
    "T4": "n1-standard-8", "P4": "n1-standard-8", "V100": "n1-standard-8", "P100": "n1-standard-8",
}  # fmt: skip
"""the machine that a GPU row of GCP belongs to (Google's GPU machine types, 2026-11-22); GPUs of the N1 series go with
any machine of that series, and this one is what the reference table prices them with"""
GCP_MACHINES_BY_COUNT: Final[Mapping[tuple[str, int], str]] = {
    ("A100", 16): "a2-megagpu-16g", ("L4", 1): "g2-standard-4", ("L4", 2): "g2-standard-24",
    ("L4", 4): "g2-standard-48", ("L4", 8): "g2-standard-96",
}  # fmt: skip
ANY_MACHINE: Final = "n1-"

NEEDED: Final = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region")
Row = Mapping[str, str]


class SkyPilotCatalog:
    """A catalogue file as a source. Its name, and the `cloud` of its prices, is `skypilot:<cloud>`.

    `as_of` is the date of the prices: the format has no place for one. `aside` are (what, why) of lists that are not
    read because this one is.
    """

    mode = SourceMode.SNAPSHOT

    def __init__(
        self,
        path: Path,
        *,
        cloud: str,
        as_of: str,
        source: str,
        clock: Clock,
        aside: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.name = f"{LABEL}{cloud}"
        self._path, self._as_of, self._source, self._clock = path, as_of, source, clock
        self._cloud, self._aside = cloud, aside

    def prices(self) -> Listing[CloudPrice]:
        """As `CloudSource.prices`; `Unavailable` when there is no such file or it is no catalogue."""
        try:
            body = self._path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{self._path}: cannot be read ({error.strerror})") from error
        answer = raw_answer(self._path.name, body, self._clock)
        # Judged under the cloud's own name, by which the reference knows it.
        claims = read_catalog(answer, cloud=self._cloud, as_of=self._as_of, source=self._source)
        prices, doubted = screen(
            claims.rows, reference=reference_cloud_prices().rows, one_list=self._cloud not in MARKETPLACES
        )
        aside = self._aside + tuple((f"{LABEL}{what}", why) for what, why in claims.quarantined + doubted)
        return Listing(tuple(price.model_copy(update={"cloud": self.name}) for price in prices), (answer,), aside)


def read_catalog(answer: RawAnswer, *, cloud: str, as_of: str, source: str) -> Listing[PriceClaim]:
    """Every row with a GPU as a claim, or set aside. `Unavailable` when the file is not of this format.

    Rows without a GPU are no claims: they are GCP's machines, and the measure of how dear a region is.
    """
    rows = _rows(answer)
    levels = _region_levels(rows)
    hosts = {(row["InstanceType"], _zone(row)): row for row in rows if not row["AcceleratorName"]}
    claims: list[PriceClaim] = []
    quarantined: list[tuple[str, str]] = []
    for row in rows:
        if not row["AcceleratorName"]:
            continue
        offered = _offered(row, cloud, hosts)
        if isinstance(offered, str):
            what = row["InstanceType"] or f"{row['AcceleratorCount']} x {row['AcceleratorName']}"
            quarantined.append((f"{cloud} {what} {_zone(row)}", offered))
            continue
        claims.append(
            PriceClaim(
                **offered._asdict(),
                cloud=cloud,
                region=row["Region"].strip(", "),
                zone=row.get("AvailabilityZone", ""),
                region_level=levels.get(row["Region"]),
                as_of=as_of,
                source=source,
                mode=SourceMode.SNAPSHOT,
                raw_sha256=answer.sha256,
            )
        )
    return Listing(tuple(claims), (answer,), tuple(quarantined))


class _Offered(NamedTuple):
    instance: str
    gpu: Gpu
    gpu_count: int
    usd_per_hour: Decimal | None
    spot_usd_per_hour: Decimal | None
    gpus_usd_per_hour: Decimal | None = None
    gpus_spot_usd_per_hour: Decimal | None = None


def _rows(answer: RawAnswer) -> list[Row]:
    """The file's rows, every column a text. A field too many belongs to the last column."""
    reader = csv.DictReader(answer.body.decode("utf-8-sig", "replace").splitlines(), restkey="", restval="")
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise wrong_shape(answer, ValueError(f"a SkyPilot catalogue has the columns {', '.join(missing)}"))
    return [{name: value for name, value in row.items() if name} for row in reader]


def _offered(row: Row, cloud: str, hosts: Mapping[tuple[str, str], Row]) -> _Offered | str:
    """What the row offers, or why it cannot be told."""
    count = _number(row["AcceleratorCount"])
    gpu = _gpu(row, cloud, count)
    if gpu is None:
        return f"unknown GPU {row['AcceleratorName']!r}"
    if count is None:
        return f"AcceleratorCount is {row['AcceleratorCount']!r}, not a number"
    if count <= 0:
        return f"AcceleratorCount is {row['AcceleratorCount']}: no GPU, or a share of one"
    if count != int(count):
        return SHARE_OF_A_GPU
    price, spot = _number(row["Price"]), _number(row["SpotPrice"])
    if row["InstanceType"]:
        return _Offered(row["InstanceType"], gpu, int(count), price, spot)
    return _with_host(row, gpu, int(count), hosts)


def _with_host(row: Row, gpu: Gpu, count: int, hosts: Mapping[tuple[str, str], Row]) -> _Offered | str:
    """A GPU row of GCP with the machine it belongs to, which stands in a row of its own."""
    accelerator = row["AcceleratorName"]
    name = GCP_MACHINES_BY_COUNT.get((accelerator, count)) or GCP_MACHINES.get(accelerator, "").format(n=count)
    host = hosts.get((name, _zone(row)))
    if host is None:
        return f"no row of its machine, {name or 'whichever that is'}, in the same zone"
    machine = f"{name}+{count}x{accelerator}" if name.startswith(ANY_MACHINE) else name
    price, spot = _number(row["Price"]), _number(row["SpotPrice"])
    return _Offered(
        machine,
        gpu,
        count,
        _sum(price, _number(host["Price"])),
        _sum(spot, _number(host["SpotPrice"])),
        gpus_usd_per_hour=price,
        gpus_spot_usd_per_hour=spot,
    )


def _gpu(row: Row, cloud: str, count: Decimal | None) -> Gpu | None:
    """The GPU by the file's name, and by its stated memory where the name leaves it open.

    Of a machine in our own table the memory is known better: such files call the 94 GiB cards of Azure's NC machines
    plain H100, with 80.
    """
    name = row["AcceleratorName"].removesuffix("-MEGA")
    memory = _memory_gib(row.get("GpuInfo", ""))
    if memory is not None and cloud in MEMORY_OF_THE_MACHINE and count:
        memory /= float(count)
    gpu = normalise_gpu(name, memory_gib=memory) or normalise_gpu(name)
    known = machines_of(cloud).get(row["InstanceType"])
    return known.gpu if gpu and known and known.gpu.family == gpu.family else gpu


def _memory_gib(info: str) -> float | None:
    """`SizeInMiB` of a GpuInfo column, which is a Python literal or, in older files, only the GPU's name again."""
    try:
        size = float(ast.literal_eval(info)["Gpus"][0]["MemoryInfo"]["SizeInMiB"])
    except (ValueError, SyntaxError, TypeError, LookupError):
        return None
    return size if size < LEAST_MIB else size / 1024


def _region_levels(rows: list[Row]) -> dict[str, float]:
    """How dear each region is: what machines without GPUs cost there, as a share of their median over the regions.

    The figure of a region is the median over its machines. Empty when the file lists no such machines.
    """
    plain = pd.DataFrame(
        ((row["InstanceType"], row["Region"], float(price)) for row, price in _prices(rows)),
        columns=["instance", "region", "usd"],
    ).drop_duplicates()
    shares = plain["usd"] / plain.groupby("instance")["usd"].transform("median")
    return {str(region): float(level) for region, level in shares.groupby(plain["region"]).median().items()}


def _prices(rows: list[Row]) -> Iterator[tuple[Row, Decimal]]:
    for row in rows:
        price = None if row["AcceleratorName"] else _number(row["Price"])
        if price:
            yield row, price


def _zone(row: Row) -> str:
    return row.get("AvailabilityZone", "") or row["Region"]


def _number(text: str) -> Decimal | None:
    """The number, or None where the field is empty or no finite number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _sum(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return first + second if first is not None and second is not None else None
