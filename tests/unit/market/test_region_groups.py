"""Countries and parts of the world: every country lies in one, and nearness is what a globe says."""

from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

import iso3166
import pytest

from necto_pipelines.market.clouds.regions import NEAREST, place_group, region_group, remoteness

HUBS = {
    "africa": (-26.20, 28.05),
    "asia-pacific": (1.35, 103.82),
    "europe": (50.11, 8.68),
    "middle-east": (25.20, 55.27),
    "north-america": (39.04, -77.49),
    "south-america": (-23.55, -46.63),
}


def distance_km(one: str, other: str) -> float:
    (lat, lon), (to_lat, to_lon) = (map(radians, HUBS[part]) for part in (one, other))
    half = sin((to_lat - lat) / 2) ** 2 + cos(lat) * cos(to_lat) * sin((to_lon - lon) / 2) ** 2
    return 2 * 6371 * asin(sqrt(half))


def test_every_country_lies_in_a_part_of_the_world() -> None:
    assert {place_group(country.alpha2, None) for country in iso3166.countries} == set(NEAREST)


@pytest.mark.parametrize(
    ("country", "region", "part"),
    [
        ("DE", None, "europe"),
        ("GB", "us-east-1", "europe"),
        ("US", None, "north-america"),
        ("AE", None, "middle-east"),
        (None, "ap-southeast-1", "asia-pacific"),
        (None, "jp-east-1", "asia-pacific"),
        (None, "na-ca-central", "north-america"),
        (None, "oc-aus", "asia-pacific"),
        (None, "somewhere", None),
        (None, None, None),
    ],
)
def test_a_place_is_known_by_its_country_before_its_region(
    country: str | None, region: str | None, part: str | None
) -> None:
    assert place_group(country, region) == part
    assert region_group("somewhere") == "somewhere"


@pytest.mark.parametrize("home", NEAREST)
def test_parts_are_ordered_by_their_distance(home: str) -> None:
    assert set(NEAREST[home]) == set(NEAREST)
    assert all(distance_km(home, near) < distance_km(home, far) for near, far in pairwise(NEAREST[home]))


def test_the_nearest_home_counts_and_an_unknown_part_is_the_remotest() -> None:
    assert remoteness("europe", {"europe"}) == 0
    assert remoteness("asia-pacific", {"europe", "middle-east"}) == 2
    assert remoteness(None, {"europe"}) > max(remoteness(part, {"europe"}) for part in NEAREST)
    assert remoteness("europe", set()) == remoteness(None, set()) == 0
