"""Turns at a source: never more at once or in a window than its budget, whoever asks, and silence when it wants it."""

from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run

from necto_pipelines.failures import NectoError, Refused, Unavailable, Unknown
from necto_pipelines.fetching import Budget, Get
from necto_pipelines.fetching.asking import Asker, retry_after_s
from necto_pipelines.fetching.budget import Gate, GateClosed, gate_of
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock

CLOCK = FrozenClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
Handler = Callable[[httpx.Request], httpx.Response]


def asker(handler: Handler, *, budget: Budget, url: str = "http://far.test", attempts: int = 4) -> Asker:
    return Asker(
        url,
        clock=CLOCK,
        headers=None,
        auth=None,
        timeout_s=30,
        attempts=attempts,
        max_wait_s=8,
        max_body_bytes=1000,
        budget=budget,
        store=None,
        transport=httpx.MockTransport(handler),
    )


class Gauge:
    """A source that takes `seconds` for each call, and notes when calls began and how many ran at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.running, self.most = seconds, 0, 0
        self.starts: list[float] = []

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.starts.append(anyio.current_time())
        self.running += 1
        self.most = max(self.most, self.running)
        await anyio.sleep(self.seconds)
        self.running -= 1
        return httpx.Response(200, json={})

    def most_within(self, seconds: float) -> int:
        # Floating-point sums of the same waits may differ in their last digit.
        return max(sum(start <= other < start + seconds - 1e-6 for other in self.starts) for start in self.starts)


def ask(gauge: Gauge, budgets: list[Budget], calls: int) -> float:
    """All clients at once; how long it took."""

    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            for budget in budgets:
                tasks.start_soon(asker(gauge, budget=budget).get_all, [Get(f"/{n}") for n in range(calls)])  # type: ignore[arg-type]
        return anyio.current_time()

    return run(main())


def test_no_more_than_its_share_is_in_flight() -> None:
    gauge = Gauge(seconds=1)
    assert ask(gauge, [Budget(at_once=3)], calls=10) == pytest.approx(4)
    assert gauge.most == 3


def test_a_burst_within_the_budget_is_not_slowed() -> None:
    gauge = Gauge()
    assert ask(gauge, [Budget(at_once=8, requests=100, per_s=60)], calls=100) == 0


@given(
    st.lists(
        st.builds(Budget, at_once=st.integers(1, 4), requests=st.integers(1, 6), per_s=st.floats(0.5, 20)),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 12),
    st.floats(0, 5),
)
def test_no_window_holds_more_than_the_budget_whoever_asks(budgets: list[Budget], calls: int, seconds: float) -> None:
    gauge = Gauge(seconds)
    patient = [Budget(each.at_once, each.requests, each.per_s, patience_s=1e6) for each in budgets]
    ask(gauge, patient, calls)
    assert len(gauge.starts) == calls * len(budgets)
    assert gauge.most <= max(budget.at_once for budget in budgets)
    # The most generous of several budgets is what a window may hold; alone, exactly its own.
    generous = max(budgets, key=lambda budget: budget.requests or 0)
    shortest = min(budget.per_s for budget in budgets)
    assert gauge.most_within(shortest) <= (generous.requests or 0)


def test_clients_of_one_address_share_its_budget() -> None:
    gauge = Gauge()
    assert ask(gauge, [Budget(requests=5, per_s=10)] * 2, calls=5) == pytest.approx(10)
    assert gauge.most_within(10) == 5


def test_another_address_is_another_source() -> None:
    async def main() -> float:
        gauge, budget = Gauge(), Budget(requests=1, per_s=60)
        await asker(gauge, budget=budget, url="http://one.test").get(Get("/"))  # type: ignore[arg-type]
        await asker(gauge, budget=budget, url="http://two.test").get(Get("/"))  # type: ignore[arg-type]
        return anyio.current_time()

    assert run(main()) == 0


def test_whoever_waits_too_long_for_a_turn_gives_up_unsent() -> None:
    async def main() -> tuple[list[RawAnswer | NectoError], int]:
        gauge = Gauge()
        client = asker(gauge, budget=Budget(requests=2, per_s=60, patience_s=10))  # type: ignore[arg-type]
        return await client.get_all([Get("/")] * 3), len(gauge.starts)

    answers, sent = run(main())
    assert [isinstance(answer, GateClosed) for answer in answers] == [False, False, True]
    assert "no turn within 10 s" in str(answers[2])
    assert sent == 2


def test_a_turn_given_up_is_not_lost() -> None:
    async def main() -> None:
        gate, budget = Gate(), Budget(at_once=1)
        await gate.enter(budget, max_wait_s=8)
        with anyio.move_on_after(1):
            await gate.enter(budget, max_wait_s=8)
        gate.leave()
        await gate.enter(budget, max_wait_s=8)

    run(main())


def test_a_pause_that_is_asked_for_is_kept_by_every_client_of_the_source() -> None:
    times: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        times.append(anyio.current_time())
        limited = request.url.path == "/limited" and len(times) == 1
        return httpx.Response(429, headers={"retry-after": "5"}) if limited else httpx.Response(200, json={})

    async def main() -> None:
        one, other = (asker(handler, budget=Budget()) for _ in range(2))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.get, Get("/limited"))
            await anyio.sleep(1)
            tasks.start_soon(other.get, Get("/other"))

    run(main())
    assert times == [0, pytest.approx(5), pytest.approx(5)]


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_longer_than_a_call_waits_ends_it_and_those_that_follow(status: int) -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(status, headers={"retry-after": "60"}) if len(asked) == 1 else httpx.Response(200)

    async def main() -> None:
        client = asker(handler, budget=Budget())
        with pytest.raises(Unavailable, match=rf"HTTP {status}, and no calls for 60 s"):
            await client.get(Get("/first"))
        with pytest.raises(Unavailable, match="not sent: the source wants no calls for another 60 s"):
            await client.get(Get("/second"))
        with pytest.raises(Unavailable, match="not sent"):
            await client.change_once("POST", "/third", None)
        await anyio.sleep(60)
        await client.get(Get("/later"))

    run(main())
    assert asked == ["/first", "/later"]


def test_a_change_answered_with_a_pause_may_have_happened() -> None:
    async def main() -> None:
        client = asker(lambda _: httpx.Response(429, headers={"retry-after": "60"}), budget=Budget())
        with pytest.raises(Unknown):
            await client.change_once("POST", "/x", None)

    run(main())


def test_a_source_known_for_its_pauses_gets_them_untold() -> None:
    async def main() -> None:
        client = asker(lambda _: httpx.Response(429), budget=Budget(pause_s=60))
        with pytest.raises(Unavailable, match="no calls for 60 s"):
            await client.get(Get("/x"))

    run(main())


def test_no_answer_silences_a_source_for_ever() -> None:
    async def main() -> None:
        client = asker(lambda _: httpx.Response(429, headers={"retry-after": "9" * 400}), budget=Budget())
        with pytest.raises(Unavailable, match="no calls for 3600 s"):
            await client.get(Get("/x"))

    run(main())


def test_an_answer_that_drips_in_for_ever_is_given_up() -> None:
    async def drip() -> object:
        while True:
            await anyio.sleep(29)
            yield b"x"

    async def main() -> float:
        client = asker(lambda _: httpx.Response(200, content=drip()), budget=Budget(at_once=1), attempts=1)  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="no whole answer within 120 s"):
            await client.get(Get("/x"))
        with pytest.raises(Unknown):  # and its turn came back
            await client.change_once("POST", "/x", None)
        return anyio.current_time()

    assert run(main()) == pytest.approx(240)


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_turn_comes_back_however_a_call_ends(status: int) -> None:
    async def main() -> None:
        client = asker(lambda _: httpx.Response(status), budget=Budget(at_once=1), attempts=1)
        for _ in range(3):
            try:
                await client.get(Get("/x"))
            except (Refused, Unavailable):
                continue
        await gate_of("http://far.test").enter(Budget(at_once=1, patience_s=1), max_wait_s=0)

    run(main())


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 -0000"}, 30),
        # Its clock is an hour behind ours.
        ({"retry-after": "Sun, 22 Nov 2026 11:00:30 GMT", "date": "Sun, 22 Nov 2026 11:00:00 GMT"}, 30),
    ],
)
def test_a_pause_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds
