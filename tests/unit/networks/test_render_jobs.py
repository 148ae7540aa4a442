"""What rendering costs by tier, the `necto render estimate` command, and the client of the simulated portal."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from necto_pipelines.cli.render import app
from necto_pipelines.failures import InvalidInput, Refused, Unavailable, Unknown
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.render.jobs import RenderJobs, RenderState
from necto_pipelines.networks.render.octanebench import TIERS, estimate, ob_hours_of

amounts = st.decimals(Decimal("0.001"), 10**7, places=3)


@pytest.mark.parametrize(
    ("ob_hours", "tier", "eur"),
    [
        ("100", 2, "1.00"),
        ("200", 3, "1.00"),
        ("3000", 2, "30.00"),
        ("3000", 3, "15.00"),
        ("100.01", 2, "1.01"),
        ("0.01", 3, "0.01"),
    ],
)
def test_one_euro_buys_100_octanebench_hours_in_tier_2_and_200_in_tier_3(ob_hours: str, tier: int, eur: str) -> None:
    assert estimate(Decimal(ob_hours), tier).eur == Decimal(eur)


@given(amounts, amounts)
def test_an_estimate_never_falls_with_more_work_and_economy_is_never_dearer(one: Decimal, other: Decimal) -> None:
    less, more = sorted((one, other))
    for tier in (2, 3):
        assert 0 < estimate(less, tier).eur <= estimate(more, tier).eur
    assert estimate(one, 3).eur <= estimate(one, 2).eur
    assert 0 <= estimate(one, 2).eur - one / 100 < Decimal("0.01")


def test_a_scene_is_worked_out_from_one_frame() -> None:
    # 3 minutes a frame on a score of 400 are 20 OctaneBench-hours; 250 frames are 5000.
    assert ob_hours_of(Decimal(400), Decimal(3), 250) == 5000


@pytest.mark.parametrize(("hours", "tier", "field"), [("1", 1, "tier"), ("1", 4, "tier"), ("0", 2, "ob_hours")])
def test_what_cannot_be_bought_is_not_estimated(hours: str, tier: int, field: str) -> None:
    with pytest.raises(InvalidInput) as fault:
        estimate(Decimal(hours), tier)
    assert [problem.field for problem in fault.value.problems] == [field]


@pytest.mark.parametrize(
    ("score", "minutes", "frames", "field"),
    [
        ("0", "1", 1, "ob_score"),
        ("1", "-1", 1, "scene_minutes"),
        ("1", "NaN", 1, "scene_minutes"),
        ("1", "1", 0, "frames"),
    ],
)
def test_a_scene_without_work_is_refused(score: str, minutes: str, frames: int, field: str) -> None:
    with pytest.raises(InvalidInput) as fault:
        ob_hours_of(Decimal(score), Decimal(minutes), frames)
    assert [problem.field for problem in fault.value.problems] == [field]


def test_every_rate_names_its_source_and_date() -> None:
    assert all(tier.source and tier.as_of for tier in TIERS.values())
    assert [number for number, tier in TIERS.items() if not tier.released] == [1]


# --- the command ----------------------------------------------------------------------------------------------------


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["estimate", *arguments])


def test_the_command_prints_every_tier_that_can_be_bought() -> None:
    printed = json.loads(ran("--ob-hours", "3000", "--json").output)
    assert printed["ob_hours"] == "3000"
    assert [(row["tier"], row["eur"], row["price_basis"]) for row in printed["estimates"]] == [
        (2, "30.00", "estimate"),
        (3, "15.00", "estimate"),
    ]
    assert all(row["source"] and row["as_of"] for row in printed["estimates"])


def test_the_command_reckons_a_scene_in_one_tier() -> None:
    result = ran("--scene-minutes", "3", "--ob-score", "400", "--frames", "250", "--tier", "2", "--json")
    assert [row["eur"] for row in json.loads(result.output)["estimates"]] == ["50.00"]


def test_the_command_prints_a_table_for_people() -> None:
    result = ran("--ob-hours", "150")
    assert result.exit_code == 0
    assert "Economy" in result.output
    assert "0.75" in result.output


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((), "ob-hours"),
        (("--ob-hours", "1", "--scene-minutes", "1"), "ob-hours"),
        (("--scene-minutes", "1"), "ob-score"),
        (("--ob-hours", "many"), "ob-hours"),
        (("--ob-hours", "1", "--tier", "1"), "tier"),
        (("--scene-minutes", "1", "--ob-score", "1", "--frames", "0"), "frames"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: tuple[str, ...], field: str) -> None:
    fault = ran(*arguments).exception
    assert isinstance(fault, InvalidInput)
    assert [problem.field for problem in fault.problems] == [field]


# --- the client -----------------------------------------------------------------------------------------------------


def row(**changes: Any) -> dict[str, Any]:
    return {
        "simulated": True,
        "id": "rj_1",
        "client_id": "ord_1-1",
        "state": "uploaded",
        "tier": 2,
        "frames_done": 0,
        "estimate_eur": None,
        "spent_eur": "0",
    } | changes


def portal(*answers: httpx.Response | Exception) -> tuple[RenderJobs, list[httpx.Request]]:
    queue, asked = list(answers), []

    def far_side(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(far_side)
    return RenderJobs(base_url="http://portal.test", clock=FrozenClock(), attempts=2, transport=transport), asked


def test_everything_the_portal_shows_is_marked_as_simulated() -> None:
    assert RenderJobs.mode is SourceMode.SANDBOX


def test_a_submitted_job_is_read_back() -> None:
    jobs, asked = portal(httpx.Response(201, json=row()))
    job = jobs.submit("ord_1-1", scene="hall.orbx", frames=10, tier=2, ob_hours=Decimal("1200.50"))
    assert (job.id, job.state, job.estimate_eur) == ("rj_1", RenderState.UPLOADED, None)
    assert json.loads(asked[0].content)["ob_hours"] == "1200.5"


@pytest.mark.parametrize(
    "lost", [httpx.ReadTimeout("late"), httpx.Response(201, json={"id": 7}), httpx.Response(502, text="gateway")]
)
def test_a_submit_without_a_readable_reply_is_unknown_and_not_repeated(lost: httpx.Response | Exception) -> None:
    jobs, asked = portal(lost)
    with pytest.raises(Unknown):
        jobs.submit("ord_1-1", scene="hall.orbx", frames=10, tier=2, ob_hours=Decimal(1))
    assert len(asked) == 1


def test_a_job_is_found_by_our_own_id() -> None:
    jobs, _ = portal(httpx.Response(200, json={"jobs": [row(client_id="another"), row(spent_eur="1.25")]}))
    found = jobs.find("ord_1-1")
    assert found is not None
    assert found.spent_eur == Decimal("1.25")
    assert portal(httpx.Response(200, json={"jobs": []}))[0].find("ord_1-1") is None


def test_what_may_be_repeated_is_and_refusals_keep_their_word() -> None:
    jobs, asked = portal(httpx.ReadTimeout("late"), httpx.Response(200, json={"eur": "10"}))
    assert jobs.top_up("t-1", Decimal(10)) == 10
    assert len(asked) == 2
    jobs, _ = portal(httpx.Response(409, json={"code": "not_estimated", "message": "wait"}))
    with pytest.raises(Refused) as refusal:
        jobs.start("rj_1")
    assert refusal.value.code == "not_estimated"


@pytest.mark.parametrize("body", [row(state="melted"), row(spent_eur="-1"), {}, []])
def test_a_job_of_another_shape_is_no_answer(body: object) -> None:
    with pytest.raises(Unavailable):
        portal(httpx.Response(200, json=body))[0].job("rj_1")
