"""Deployments, bids, leases and money as time passes."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sandbox_app import SandboxCaller, gpu_sdl

from necto_pipelines.networks.akash.sdl import groups_of
from necto_pipelines.sandbox.blocks import BlockClock
from necto_pipelines.sandbox.chain import STARTING_CREDIT, Chain
from necto_pipelines.sandbox.fleet import Fleet, Overrides
from necto_pipelines.sandbox.fleet_table import Flaw
from necto_pipelines.sandbox.records import ChainState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
GROUPS = {model: groups_of(gpu_sdl(model)) for model in ("h100", "rtx4090")}
TWO_SIZES = {gpus: groups_of(gpu_sdl("h100", gpus)) for gpus in (1, 2)}
DAY_S = 86_400


def new_chain() -> Chain:
    state = ChainState(advanced_to=NOON, wallet=STARTING_CREDIT)
    return Chain(7, Fleet(7, Overrides()), BlockClock(7), state)


def leased(chain: Chain, model: str = "h100", deposit: int = 20_000_000) -> str:
    """A lease on the first bid, its manifest delivered."""
    deployment = chain.create(GROUPS[model], [], "hash", deposit)
    chain.advance(deployment.at + timedelta(seconds=61))
    provider = deployment.bids[0].provider
    chain.lease([(deployment.dseq, 1, 1, provider)])
    chain.deliver_manifest(deployment.dseq, 1, provider, "hash")
    return deployment.dseq


# Bids


def test_bids_come_between_six_and_sixty_seconds_after_the_request(sandbox: SandboxCaller) -> None:
    made, seen = sandbox.create(), []
    for _ in range(70):
        seen.append(len(sandbox.bids(made["dseq"])))
        sandbox.clock.advance(1)

    assert seen[5] == 0
    assert seen[60] == seen[69] == 6
    assert len(set(seen)) > 3


def test_the_cheapest_bid_comes_from_a_provider_with_an_outdated_version(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    providers = {row["owner"]: row for row in sandbox.providers()}

    cheapest = min(sandbox.bids(made["dseq"]), key=lambda bid: Decimal(bid["price"]["amount"]))

    assert providers[cheapest["id"]["provider"]]["isValidVersion"] is False


def test_bids_of_unaudited_providers_are_made_but_never_shown(sandbox: SandboxCaller) -> None:
    unaudited = next(p.address for p in Fleet(7, Overrides()).providers if p.flaw is Flaw.UNAUDITED)
    made = sandbox.create(gpu_sdl().replace("signedBy: {anyOf: [akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63]}", ""))
    sandbox.clock.advance(61)

    shown = {bid["id"]["provider"] for bid in sandbox.bids(made["dseq"])}
    assert unaudited not in shown
    sandbox.post("/sandbox/evidence", {"provider": unaudited, "audited": True})
    assert {bid["id"]["provider"] for bid in sandbox.bids(made["dseq"])} == shown | {unaudited}


def test_a_bid_closes_after_five_minutes_without_a_lease(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bid = sandbox.bids(made["dseq"])[0]

    sandbox.clock.advance(300)

    assert {each["state"] for each in sandbox.bids(made["dseq"])} == {"closed"}
    refused = sandbox.lease(made, bid)
    assert refused.status_code == 400
    assert "bid is no longer open" in refused.json()["message"]


def test_open_bids_set_capacity_aside_and_lost_ones_give_it_back(sandbox: SandboxCaller) -> None:
    def gpus() -> dict[str, int]:
        return sandbox.get("/akash/v1/network-capacity")["resources"]["gpu"]

    made = sandbox.create()
    sandbox.clock.advance(61)
    assert gpus() == {"active": 131, "pending": 6, "available": 111, "total": 248}

    assert sandbox.lease(made, sandbox.bids(made["dseq"])[0]).status_code == 200

    assert gpus() == {"active": 132, "pending": 0, "available": 116, "total": 248}
    assert sandbox.get("/akash/v1/gpu-prices")["availability"]["available"] == 116
    states = [bid["state"] for bid in sandbox.bids(made["dseq"])]
    assert (states.count("active"), states.count("lost")) == (1, 5)


def test_no_order_gets_more_than_twenty_bids() -> None:
    chain = new_chain()
    groups = deepcopy(GROUPS["h100"])
    groups[0]["resources"][0]["resource"]["gpu"] = {"units": {"val": "0"}}

    deployment = chain.create(groups, [], "hash", 5_000_000)
    chain.advance(NOON + timedelta(seconds=61))

    assert len(deployment.bids) == 20


def test_an_offline_provider_bids_nothing_and_cannot_be_leased(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bid = sandbox.bids(made["dseq"])[0]
    sandbox.post("/sandbox/providers", {"provider": bid["id"]["provider"], "online": False})

    assert sandbox.lease(made, bid).status_code == 503
    later = sandbox.create()
    sandbox.clock.advance(61)
    assert bid["id"]["provider"] not in {each["id"]["provider"] for each in sandbox.bids(later["dseq"])}


# Leases


def test_a_repeated_lease_changes_nothing(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bid = sandbox.bids(made["dseq"])[0]

    first, second = (sandbox.lease(made, bid).json()["data"] for _ in range(2))

    assert first == second
    assert len(first["leases"]) == 1


def test_a_workload_is_ready_some_seconds_after_its_manifest(sandbox: SandboxCaller) -> None:
    dseq, bid = sandbox.leased()

    def service() -> dict:
        return sandbox.standing(dseq)["leases"][0]["status"]["services"]["job"]

    assert (service()["ready_replicas"], service()["replicas"]) == (0, 1)
    sandbox.clock.advance(25)
    assert (service()["ready_replicas"], service()["available"]) == (1, 1)
    status = sandbox.standing(dseq)["leases"][0]["status"]
    assert status["services"]["job"]["uris"]
    [port] = status["forwarded_ports"]["job"]
    assert (port["port"], port["proto"]) == (22, "TCP")
    assert bid["price"] == sandbox.standing(dseq)["leases"][0]["price"]


def test_a_lease_without_its_manifest_is_closed_after_five_minutes(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    refused = sandbox.lease({"manifest": "[]"}, sandbox.bids(made["dseq"])[0])
    assert refused.status_code == 422
    [lease] = sandbox.standing(made["dseq"])["leases"]
    assert (lease["state"], lease["status"]) == ("active", None)

    sandbox.clock.advance(300)

    standing = sandbox.standing(made["dseq"])
    [lease] = standing["leases"]
    assert (lease["state"], lease["reason"]) == ("closed", "lease_closed_reason_manifest_timeout")
    assert int(lease["closed_on"]) > int(lease["created_at"])
    assert standing["deployment"]["state"] == "active"
    assert {bid["state"] for bid in sandbox.bids(made["dseq"])} == {"closed", "lost"}


def test_the_right_manifest_may_be_sent_again_for_a_lease_that_stands(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bid = sandbox.bids(made["dseq"])[0]
    sandbox.lease({"manifest": "not json"}, bid)

    assert sandbox.lease(made, bid).status_code == 200

    sandbox.clock.advance(600)
    assert sandbox.standing(made["dseq"])["leases"][0]["state"] == "active"


def test_an_offline_provider_reports_no_status_while_the_chain_says_active(sandbox: SandboxCaller) -> None:
    dseq, bid = sandbox.leased()
    sandbox.post("/sandbox/providers", {"provider": bid["id"]["provider"], "online": False})
    sandbox.clock.advance(3600)

    [lease] = sandbox.standing(dseq)["leases"]

    assert (lease["state"], lease["status"]) == ("active", None)


# Money


def test_a_closed_deployment_cost_its_blocks_and_returned_the_rest(sandbox: SandboxCaller) -> None:
    before = sandbox.get("/akash/v1/balances")["data"]
    dseq, bid = sandbox.leased(deposit=20)
    sandbox.clock.advance(2 * 3600)
    held = sandbox.get("/akash/v1/balances")["data"]
    unsettled = sandbox.standing(dseq)["escrow_account"]["state"]

    assert sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}").json() == {"data": {"success": True}}

    standing, after = sandbox.standing(dseq), sandbox.get("/akash/v1/balances")["data"]
    [lease], account = standing["leases"], standing["escrow_account"]["state"]
    blocks = int(lease["closed_on"]) - int(lease["created_at"])
    paid = int(Decimal(bid["price"]["amount"]) * blocks)
    assert 1200 < blocks < 1250
    assert Decimal(account["transferred"][0]["amount"]) == paid
    assert account["settled_at"] == lease["closed_on"]
    assert (standing["deployment"]["state"], account["state"], lease["state"]) == ("closed", "closed", "closed")
    assert (held["balance"], held["deployments"]) == (before["balance"] - 20, 20)
    assert round((before["balance"] - after["balance"]) * 10**6) == paid
    # Nothing was settled before: escrow moves when something happens, not with every block.
    assert Decimal(unsettled["transferred"][0]["amount"]) == 0


def test_closing_twice_is_closing_once(sandbox: SandboxCaller) -> None:
    dseq, _ = sandbox.leased()
    sandbox.clock.advance(600)
    sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}")
    standing, balances = sandbox.standing(dseq), sandbox.get("/akash/v1/balances")
    sandbox.clock.advance(600)

    assert sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}").json() == {"data": {"success": True}}
    assert sandbox.standing(dseq) == standing
    assert sandbox.get("/akash/v1/balances") == balances


def test_providers_withdraw_every_day(sandbox: SandboxCaller) -> None:
    dseq, _ = sandbox.leased(deposit=500)

    def account() -> dict:
        return sandbox.standing(dseq)["escrow_account"]["state"]

    sandbox.clock.advance(DAY_S - 60)
    assert Decimal(account()["transferred"][0]["amount"]) == 0
    sandbox.clock.advance(120)
    state = account()
    assert Decimal(state["transferred"][0]["amount"]) > 0
    assert Decimal(state["transferred"][0]["amount"]) + Decimal(state["funds"][0]["amount"]) == 500_000_000


def test_an_escrow_that_ran_dry_is_noticed_at_the_next_check_of_funds(sandbox: SandboxCaller) -> None:
    dseq, _ = sandbox.leased(deposit=1)
    sandbox.clock.advance(25 * 60)
    running = sandbox.standing(dseq)
    sandbox.clock.advance(3600)
    ended = sandbox.standing(dseq)

    assert running["leases"][0]["state"] == "active"
    [lease], account = ended["leases"], ended["escrow_account"]["state"]
    assert (ended["deployment"]["state"], account["state"]) == ("closed", "overdrawn")
    # The reason is wrong on purpose: that is what the network says.
    assert (lease["state"], lease["reason"]) == ("insufficient_funds", "lease_closed_invalid")
    assert Decimal(account["transferred"][0]["amount"]) == 1_000_000
    checks = (BlockClock(7).time_of(int(lease["closed_on"])) - BlockClock(7).time_of(int(lease["created_at"]))) / 600
    assert abs(checks.total_seconds() - round(checks.total_seconds())) < 0.02


@given(
    st.lists(st.tuples(st.sampled_from(["h100", "rtx4090"]), st.integers(500_000, 50_000_000)), min_size=1, max_size=3),
    st.lists(st.integers(1, 3 * DAY_S), min_size=1, max_size=6),
    st.integers(0, 2),
)
def test_no_money_is_made_or_lost(orders: list[tuple[str, int]], steps: list[int], closed: int) -> None:
    chain = new_chain()
    made = [leased(chain, model, deposit) for model, deposit in orders]
    for number, seconds in enumerate(steps):
        chain.advance(chain.state.advanced_to + timedelta(seconds=seconds))
        if number == closed:
            chain.close(made[0])

        accounts = [chain.find(dseq) for dseq in made]
        assert chain.state.wallet + sum(each.funds + each.transferred for each in accounts) == STARTING_CREDIT
        for each in accounts:
            [lease] = each.leases
            blocks = each.settled_height - lease.height
            assert each.funds >= 0
            assert each.transferred <= lease.price * blocks
            assert each.transferred >= min(each.deposit, int(lease.price * blocks) - blocks // 14_000 - 1)


@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=12))
def test_looking_often_gives_what_looking_once_gives(steps: list[int]) -> None:
    often, once = new_chain(), new_chain()
    for chain in (often, once):
        leased(chain, deposit=3_000_000)
        chain.create(GROUPS["rtx4090"], [], "other", 600_000)

    for seconds in steps:
        often.advance(often.state.advanced_to + timedelta(seconds=seconds))
    once.advance(once.state.advanced_to + timedelta(seconds=sum(steps)))

    assert often.state == once.state


@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=6))
def test_a_chain_that_was_put_down_and_taken_up_goes_on_as_if_it_had_not(steps: list[int]) -> None:
    kept = new_chain()
    leased(kept, deposit=3_000_000)
    kept.create(GROUPS["h100"], [], "other", 600_000)
    copied = kept.state.model_dump_json()
    for seconds in steps:
        kept.advance(kept.state.advanced_to + timedelta(seconds=seconds))
        restored = Chain(7, Fleet(7, Overrides()), BlockClock(7), ChainState.model_validate_json(copied))
        restored.advance(kept.state.advanced_to)
        copied = restored.state.model_dump_json()

    assert ChainState.model_validate_json(copied) == kept.state


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 200)), min_size=4, max_size=12))
def test_no_provider_sells_what_it_does_not_have(orders: list[tuple[int, int]]) -> None:
    chain, fleet = new_chain(), Fleet(7, Overrides())
    for gpus, seconds in orders:
        chain.create(TWO_SIZES[gpus], [], "hash", 600_000)
        chain.advance(chain.state.advanced_to + timedelta(seconds=seconds))
        for deployment in chain.deployments():
            if open_bids := [bid for bid in deployment.bids if bid.state == "open"]:
                chain.lease([(deployment.dseq, 1, 1, open_bids[0].provider)])

        for address, used in chain.usage().items():
            provider = fleet.get(address)
            assert provider is not None
            for stock in provider.stock:
                assert stock.taken + used.gpus.get(stock.key, 0) <= stock.count


# Names and times


def test_deployments_made_in_one_millisecond_get_different_names(sandbox: SandboxCaller) -> None:
    made = [int(sandbox.create()["dseq"]) for _ in range(3)]

    assert made[0] == int(sandbox.clock.now().timestamp() * 1000)
    assert [later - earlier for earlier, later in pairwise(made)] == [1, 1]


def test_the_same_request_twice_makes_two_deployments_with_one_hash(sandbox: SandboxCaller) -> None:
    for _ in range(2):
        sandbox.create()

    rows = sandbox.get("/akash/v1/deployments")["data"]["deployments"]
    assert len({row["deployment"]["id"]["dseq"] for row in rows}) == 2
    assert len({row["deployment"]["hash"] for row in rows}) == 1


def test_time_that_goes_back_changes_nothing(sandbox: SandboxCaller) -> None:
    made = sandbox.create()
    sandbox.clock.advance(61)
    bids = sandbox.bids(made["dseq"])
    sandbox.clock.advance(-61)

    assert sandbox.bids(made["dseq"]) == bids


def test_leases_are_accepted_all_or_none() -> None:
    chain = new_chain()
    deployment = chain.create([*GROUPS["h100"], *GROUPS["rtx4090"]], [], "hash", 20_000_000)
    chain.advance(NOON + timedelta(seconds=61))
    good = next(bid for bid in deployment.bids if bid.gseq == 1)

    with pytest.raises(Exception, match="no longer open"):
        chain.lease([(deployment.dseq, 1, 1, good.provider), (deployment.dseq, 2, 1, good.provider)])

    assert (deployment.leases, good.state) == ([], "open")
