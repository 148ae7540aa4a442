"""Where the boxes of a lineage stand."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.procurement.trace_layout import Sizes, layout

SIZES = Sizes(width=100, height=40, column_gap=20, row_gap=10)
Graph = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph of up to a dozen nodes, circles and lonely nodes included."""
    nodes = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    return {node: draw(st.lists(st.sampled_from(nodes), max_size=4)) for node in nodes}


@given(graphs())
def test_no_two_boxes_overlap_and_all_of_them_are_in_the_picture(graph: Graph) -> None:
    placed = layout(graph, SIZES)
    assert set(placed.places) == set(graph)
    for (x, y), (other_x, other_y) in combinations(placed.places.values(), 2):
        assert x != other_x or abs(y - other_y) >= SIZES.height + SIZES.row_gap - 1e-6
    for x, y in placed.places.values():
        assert 0 <= x <= placed.width - SIZES.width
        assert -1e-6 <= y <= placed.height - SIZES.height + 1e-6


@given(graphs())
def test_every_edge_runs_to_the_right_from_box_to_box(graph: Graph) -> None:
    placed = layout(graph, SIZES)
    for (start, end), points in placed.edges.items():
        assert end in graph[start]
        (x, y), (end_x, end_y) = placed.places[start], placed.places[end]
        assert points[0] == pytest.approx((x + SIZES.width, y + SIZES.height / 2))
        assert points[-1] == pytest.approx((end_x, end_y + SIZES.height / 2))
        assert all(x < next_x for (x, _), (next_x, _) in pairwise(points))


@given(graphs())
def test_an_edge_that_passes_a_column_runs_between_its_boxes(graph: Graph) -> None:
    placed = layout(graph, SIZES)
    for points in placed.edges.values():
        for x, y in points[1:-1:2]:
            tops = [top for left, top in placed.places.values() if left == x]
            assert all(y <= top or y >= top + SIZES.height for top in tops)


@given(graphs())
def test_the_same_graph_gives_the_same_picture(graph: Graph) -> None:
    assert layout(graph, SIZES) == layout({node: list(ends) for node, ends in graph.items()}, SIZES)


def test_a_box_stands_behind_everything_that_rests_on_it() -> None:
    placed = layout({"a": ["b", "c"], "b": ["c"], "c": []}, SIZES)
    assert [placed.places[node][0] for node in "abc"] == [0, 120, 240]


def test_edges_do_not_cross_where_they_need_not() -> None:
    placed = layout({"a": ["b", "c"], "b": ["d"], "c": ["e"], "e": [], "d": []}, SIZES)
    y = {node: place[1] for node, place in placed.places.items()}
    assert (y["b"] < y["c"]) == (y["d"] < y["e"])
