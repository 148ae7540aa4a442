"""`necto sdl` and `necto order from-sdl`: what the network makes of a document, and the order made of it."""

from decimal import Decimal
from pathlib import Path

import pytest
from support.necto_command import necto

from necto_pipelines.books.books import Books

pytestmark = pytest.mark.usefixtures("home")

SDL = """\
version: "2.1"
services:
  train: {image: ghcr.io/acme/train:1, expose: [{port: 8080, as: 80, to: [{global: true}]}]}
profiles:
  compute:
    train:
      resources:
        cpu: {units: 8}
        memory: {size: 64Gi}
        storage: {size: 100Gi}
        gpu: {units: 1, attributes: {vendor: {nvidia: [{model: h100, ram: 80Gi}]}}}
  placement: {eu: {pricing: {train: {denom: uact, amount: 6000}}}}
deployment: {train: {eu: {profile: train, count: 1}}}
"""
OPTIONS = ("--hours", "4", "--budget", "25", "--cost-centre", "research")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(SDL)
    return path


def test_the_manifest_and_the_groups_are_printed_as_json(file: Path) -> None:
    manifest, groups = necto("sdl", "manifest", file), necto("sdl", "groups", file)
    assert (manifest.code, groups.code) == (0, 0)
    assert manifest.json[0]["services"][0]["resources"]["memory"] == {"size": {"val": "68719476736"}}
    assert groups.json[0]["resources"][0]["price"] == {"denom": "uact", "amount": "6000.000000000000000000"}


def test_the_hash_is_what_the_network_lists() -> None:
    said = necto("sdl", "manifest", "--hash", "-", stdin=SDL.encode())
    assert (said.code, len(said.out.strip())) == (0, 44)


@pytest.mark.parametrize("command", ["manifest", "groups"])
def test_every_fault_of_a_document_is_a_line_and_exit_code_2(command: str, file: Path) -> None:
    file.write_text(SDL.replace("units: 8", "units: -8").replace("count: 1", "count: 0"))
    said = necto("sdl", command, file)
    assert (said.code, said.out) == (2, "")
    assert said.complaints == [
        "invalid profiles.compute.train.resources.cpu.units: -8 is not allowed; a number of cores above zero is needed,"
        " such as 4, 0.5 or 500m",
        "invalid deployment.train.eu.count: 0 is not allowed; it must be greater than or equal to 1",
    ]


def test_an_order_is_made_of_a_document(home: Path, file: Path, books_of_home: Books) -> None:
    said = necto("order", "from-sdl", file, *OPTIONS, "--country", "DE, NL", "--home", home, "--json")
    assert said.code == 0, said.err
    [order] = books_of_home.orders()
    need, policy = order.request.requirement, order.request.policy
    assert (order.request.name, need.gpu.model, need.gpu.count, need.hours) == ("train", "H100-80GB", 1, 4)
    assert (policy.networks, policy.countries) == (("akash",), ("DE", "NL"))
    assert order.request.max_usd_per_gpu_hour == Decimal("3.6")  # 6000 uact in each of 600 blocks
    assert need.sdl == SDL
    assert said.json["id"] == order.id


def test_an_order_can_be_looked_at_before(home: Path, file: Path, books_of_home: Books) -> None:
    said = necto("order", "from-sdl", file, *OPTIONS, "--max-usd-per-gpu-hour", "2.5", "--show", "--home", home)
    assert said.json["max_usd_per_gpu_hour"] == "2.5"
    assert books_of_home.orders() == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--hours", "-4"), "requirement.hours: '-4' is not allowed; it must be greater than 0"),
        (("--budget", "much"), "budget_usd: 'much' is not allowed; write a number such as 4 or 2.5"),
        (("--cost-centre", "nowhere"), "cost_centre: 'nowhere' is not allowed"),
        (("--country", "DE,Atlantis"), "policy.countries.1: 'Atlantis' is not allowed"),
    ],
)
def test_a_wrong_option_is_named(
    home: Path, file: Path, books_of_home: Books, options: tuple[str, str], complaint: str
) -> None:
    said = necto("order", "from-sdl", file, *OPTIONS, *options, "--home", home)
    assert said.code == 2
    assert complaint in said.err
    assert books_of_home.orders() == []


def test_an_order_document_cannot_say_otherwise_than_its_sdl(home: Path, tmp_path: Path, books_of_home: Books) -> None:
    body = "".join(f"    {line}\n" for line in SDL.splitlines())
    order = (
        "name: x\ncost_centre: research\nbudget_usd: 20\npolicy: {networks: [akash]}\n"
        f"requirement:\n  gpu: {{model: H100-80GB, count: 2}}\n  hours: 4\n  sdl: |\n{body}"
    )
    (tmp_path / "order.yaml").write_text(order)
    said = necto("order", "submit", tmp_path / "order.yaml", "--home", home)
    assert said.code == 2
    assert "requirement.gpu" in said.err
    assert "the SDL document says" in said.err
    assert books_of_home.orders() == []


def test_an_sdl_is_for_akash_only(home: Path, file: Path, tmp_path: Path, books_of_home: Books) -> None:
    made = necto("order", "from-sdl", file, *OPTIONS, "--show", "--home", home).out
    (tmp_path / "order.json").write_text(made.replace('"akash"', '"render"'))
    said = necto("order", "submit", tmp_path / "order.json", "--home", home)
    assert (said.code, "policy.networks" in said.err) == (2, True)
