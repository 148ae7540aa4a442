"""The table of machines, and the parts of the world that regions lie in."""

from decimal import Decimal

import pytest

from necto_pipelines.market.clouds import reference_cloud_prices
from necto_pipelines.market.clouds.machines import machines_of
from necto_pipelines.market.clouds.regions import region_group

CLOUDS = ("aws", "azure", "gcp")
PARTS = {"north-america", "south-america", "europe", "asia-pacific", "middle-east", "africa"}


def test_every_machine_of_the_reference_table_is_known_with_the_same_gpus() -> None:
    for row in reference_cloud_prices().rows:
        machine = machines_of(row.cloud)[row.instance]
        assert (machine.gpu, machine.gpu_count) == (row.gpu, row.gpu_count), row


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_machine_has_cores_and_memory(cloud: str) -> None:
    assert len(machines_of(cloud)) > 20
    for machine in machines_of(cloud).values():
        assert min(machine.vcpu, machine.memory_gib, machine.gpu_count) > 0, machine


@pytest.mark.parametrize(
    ("machine", "local_ssd_gib"),
    [("a2-highgpu-1g", 0), ("a2-ultragpu-1g", 375), ("a3-highgpu-8g", 6000), ("a3-ultragpu-8g", 12000)],
)
def test_disks_that_google_bills_with_a_machine_are_known(machine: str, local_ssd_gib: int) -> None:
    assert machines_of("gcp")[machine].local_ssd_gib == local_ssd_gib


def test_a_machine_may_have_a_share_of_a_gpu() -> None:
    assert machines_of("azure")["Standard_NV6ads_A10_v5"].gpu_count == Decimal("0.167")


@pytest.mark.parametrize(
    ("region", "part"),
    [
        ("us-east-1", "north-america"),
        ("ca-central-1", "north-america"),
        ("northamerica-northeast2", "north-america"),
        ("eastus2", "north-america"),
        ("southcentralus", "north-america"),
        ("mexicocentral", "north-america"),
        ("sa-east-1", "south-america"),
        ("southamerica-west1", "south-america"),
        ("brazilsouth", "south-america"),
        ("eu-west-3", "europe"),
        ("europe-north1", "europe"),
        ("westeurope", "europe"),
        ("uksouth", "europe"),
        ("germanywestcentral", "europe"),
        ("ap-southeast-2", "asia-pacific"),
        ("australia-southeast1", "asia-pacific"),
        ("australiaeast", "asia-pacific"),
        ("southeastasia", "asia-pacific"),
        ("jioindiawest", "asia-pacific"),
        ("southindia", "asia-pacific"),
        ("me-west1", "middle-east"),
        ("il-central-1", "middle-east"),
        ("uaenorth", "middle-east"),
        ("af-south-1", "africa"),
        ("southafricanorth", "africa"),
        ("kansascity-usa-1", "kansascity-usa-1"),
    ],
)
def test_a_region_lies_in_a_part_of_the_world(region: str, part: str) -> None:
    assert region_group(region) == part


def test_every_region_of_the_reference_table_lies_somewhere() -> None:
    assert {region_group(row.region) for row in reference_cloud_prices().rows} <= PARTS
