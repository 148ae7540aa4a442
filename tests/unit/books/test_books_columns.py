"""Columns give back exactly what was put in, and a row's digest changes with every cell."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from necto_pipelines.books.columns import KEY, ExactNumber, UtcTime, WholeNumber, canonical, legible, row_digest
from necto_pipelines.books.engine import open_engine, transaction
from necto_pipelines.books.recording import as_stored
from necto_pipelines.failures import PermanentFailure

SCRATCH = Table(
    "scratch",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("number", ExactNumber),
    Column("whole", WholeNumber),
    Column("time", UtcTime),
    Column("text", KEY),
)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=OFFSETS)  # noqa: DTZ001  naive bounds
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture
def scratch(backend):
    engine = open_engine(backend.url)
    with transaction(engine, write=True) as connection:
        SCRATCH.create(connection)
    yield engine
    with transaction(engine, write=True) as connection:
        SCRATCH.drop(connection)
    engine.dispose()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=NUMBERS, whole=st.integers(-(10**77), 10**77), time=TIMES, text=TEXTS)
def test_what_is_stored_comes_back_exactly_and_its_digest_stays(scratch, number, whole, time, text):
    values = {"number": number, "whole": whole, "time": time, "text": text}
    with transaction(scratch, write=True) as connection:
        statement = insert(SCRATCH).values(values).returning(*as_stored(SCRATCH))
        written = dict(connection.execute(statement).mappings().one())
    with transaction(scratch, write=False) as connection:
        row = connection.execute(select(SCRATCH).where(SCRATCH.c.id == written["id"])).one()
        read = connection.execute(select(*as_stored(SCRATCH)).where(SCRATCH.c.id == written["id"])).mappings().one()
    assert (row.number, row.whole, row.time, row.text) == (number, whole, time, text)
    assert str(row.number.normalize()) == str(number.normalize())
    assert row.time.tzinfo is UTC
    assert row_digest(dict(read)) == row_digest(written)


def test_missing_values_stay_missing(scratch):
    with transaction(scratch, write=True) as connection:
        connection.execute(insert(SCRATCH).values(id=1))
    with transaction(scratch, write=False) as connection:
        assert tuple(connection.execute(select(SCRATCH)).one()) == (1, None, None, None, None)


def test_a_time_without_an_offset_is_refused(scratch):
    with pytest.raises(PermanentFailure, match="offset"), transaction(scratch, write=True) as connection:
        connection.execute(insert(SCRATCH).values(time=datetime(2026, 1, 1)))  # noqa: DTZ001  that is the point


def test_text_sorts_by_its_bytes(scratch):
    texts = ["a-b", "ab", "a_b", "B", "ä", "_", "-"]
    with transaction(scratch, write=True) as connection:
        connection.execute(insert(SCRATCH), [{"text": text} for text in texts])
    with transaction(scratch, write=False) as connection:
        found = connection.execute(select(SCRATCH.c.text).order_by(SCRATCH.c.text)).scalars().all()
    assert found == sorted(texts, key=str.encode)


CELLS = {"id": "x", "units": 10, "usd": Decimal("1.10"), "at": datetime(2026, 11, 22, tzinfo=UTC), "note": None}


@pytest.mark.parametrize(
    "other",
    [
        {"id": "y"},
        {"units": 11},
        {"units": "10"},
        {"units": 10.0},
        {"usd": Decimal("1.1")},
        {"at": datetime(2026, 11, 22, microsecond=1, tzinfo=UTC)},
        {"note": ""},
        {"note": "null"},
        {"note": b"bytes"},
        {"note": float("inf")},
        {"note": "lone \ud800"},
    ],
)
def test_any_other_cell_gives_another_digest(other: dict):
    assert row_digest(CELLS | other) != row_digest(CELLS)


def test_a_row_has_the_same_digest_on_sqlite_and_postgresql():
    stored_by_sqlite = CELLS | {"usd": "1.10", "at": "2026-11-22T00:00:00.000000Z"}
    stored_by_postgresql = CELLS | {"at": datetime(2026, 11, 22, 2, tzinfo=timezone(timedelta(hours=2)))}
    assert row_digest(stored_by_sqlite) == row_digest(stored_by_postgresql)


def test_a_digest_is_of_plain_canonical_json():
    text = '{"at":"2026-11-22T00:00:00.000000Z","id":"x","note":null,"units":10,"usd":"1.10"}'
    assert canonical({"b": [1, None], "a": {"ü": "x\n"}}) == '{"a":{"ü":"x\\n"},"b":[1,null]}'
    assert row_digest(CELLS) == sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("value", "path"), [({"a": [1, {"b": 0.5}]}, r"document\.a\[1\]\.b"), (1.0, "document")])
def test_a_document_with_a_float_is_refused_naming_its_place(value: object, path: str):
    with pytest.raises(PermanentFailure, match=path):
        canonical(value)


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a\ufffdb"), ("\ud800x", "?x"), ("plain ü 🚀\n", "plain ü 🚀\n")])
def test_text_from_outside_is_made_fit_for_a_column(text: str, kept: str):
    assert legible(text) == kept
