"""Ids sort by time, also under a clock that stands still."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.books.ids import new_id, new_uuid
from necto_pipelines.model.clock import FrozenClock

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_an_id_is_a_version_7_uuid_of_its_moment(moment: datetime):
    made = new_uuid(moment)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.lists(MOMENTS, min_size=2, max_size=10, unique=True))
def test_later_ids_sort_after_earlier_ones(moments: list[datetime]):
    moments.sort()
    ids = [str(new_uuid(moment)) for moment in moments]
    assert ids == sorted(set(ids))


def test_ids_of_the_same_microsecond_sort_as_they_were_made():
    clock = FrozenClock()
    ids = [new_id("ord", clock) for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert all(len(made) == 36 and made.startswith("ord_") for made in ids)


def test_threads_never_get_the_same_id():
    clock = FrozenClock()
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_id("ord", clock), range(4_000)))
    assert len(set(ids)) == 4_000
