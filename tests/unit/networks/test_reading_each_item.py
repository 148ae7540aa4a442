"""Long lists are read one item at a time, and come to the same as reading them whole."""

import gc
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer, read_json
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.reading import collector_paused, each_item

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
INDENTS = st.sampled_from([None, 1, "\t"])


def answer_of(text: str, encoding: str = "utf-8") -> RawAnswer:
    return raw_answer("https://network.example/v1/list", text.encode(encoding, "surrogatepass"), FrozenClock())


def either(read: Any, answer: RawAnswer) -> Any:
    """What is read, or that nothing usable came."""
    try:
        return read(answer)
    except Unavailable:
        return Unavailable


@given(st.lists(JSON, max_size=6), INDENTS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_the_items_are_those_of_the_whole_list(items: list[Any], indent: Any, encoding: str) -> None:
    answer = answer_of(json.dumps(items, indent=indent), encoding)
    assert list(each_item(answer)) == read_json(answer)


@given(st.lists(JSON, max_size=4), INDENTS, st.data())
def test_what_is_no_json_as_a_whole_is_none_item_by_item(items: list[Any], indent: Any, data: st.DataObject) -> None:
    text = json.dumps(items, indent=indent)
    at = data.draw(st.integers(0, len(text)))
    spoilt = text[:at] + data.draw(st.sampled_from(["", "]", ",", "[", " ", "NaN", '"', "\0"])) + text[at:][1:]
    whole = either(read_json, answer_of(spoilt))
    expected = whole if isinstance(whole, list) else Unavailable
    assert either(lambda answer: list(each_item(answer)), answer_of(spoilt)) == expected


NO_LISTS = [
    "",
    " ",
    "[",
    "[1",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1]]",
    "[] 1",
    "[NaN]",
    "[1e999999999999999999999]",
    "{}",
    "1",
]


@pytest.mark.parametrize("text", NO_LISTS)
def test_whatever_is_no_list_in_json_is_no_usable_answer(text: str) -> None:
    with pytest.raises(Unavailable):
        list(each_item(answer_of(text)))


def test_numbers_keep_every_digit() -> None:
    assert list(each_item(answer_of("[0.1234567890123456789]"))) == [Decimal("0.1234567890123456789")]


def test_the_collector_rests_only_meanwhile() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


def test_whoever_had_switched_the_collector_off_finds_it_off() -> None:
    with collector_paused(), collector_paused():
        pass
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
