"""Where the boxes of a lineage stand: layers by longest path, few crossings, short edges. The same graph always gives
the same picture.

After Sugiyama, Tagawa and Toda (1981): layers, then an order within each layer by the mean place of the neighbours,
then heights. Edges that pass a layer get a place of their own in it, so that they do not run behind boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

SWEEPS = 12
"""further ones change nothing in lineages of real invoices"""


@dataclass(frozen=True)
class Sizes:
    """Of boxes and the space between them, in SVG units."""

    width: float
    height: float
    column_gap: float
    row_gap: float


@dataclass(frozen=True)
class Layout:
    """Left upper corners of boxes, and for each edge the points that it passes, from box to box."""

    places: dict[str, tuple[float, float]]
    edges: dict[tuple[str, str], list[tuple[float, float]]]
    width: float
    height: float


def layout(below: Mapping[str, Sequence[str]], sizes: Sizes) -> Layout:
    """Place a graph: node -> nodes it rests on. Edges that close a circle are left out of the picture."""
    edges = _without_circles(below)
    layer = _layers(edges)
    columns, chains = _columns(edges, layer)
    near = _neighbours(chains)
    columns = _least_crossing(columns, near)
    centre = _heights(columns, near, sizes, edges)
    top = min(y - sizes.height / 2 for y in centre.values())
    step = sizes.width + sizes.column_gap
    column_of = {node: x for x, column in enumerate(columns) for node in column}
    places = {node: (column_of[node] * step, centre[node] - sizes.height / 2 - top) for node in edges}
    lines = {}
    for (start, end), chain in chains.items():
        points = [(column_of[start] * step + sizes.width, centre[start] - top)]
        for node in chain[1:-1]:
            x, y = column_of[node] * step, centre[node] - top
            points += [(x, y), (x + sizes.width, y)]
        lines[start, end] = [*points, (column_of[end] * step, centre[end] - top)]
    height = max(y for _, y in places.values()) + sizes.height
    return Layout(places, lines, len(columns) * step - sizes.column_gap, height)


def _without_circles(below: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    kept: dict[str, list[str]] = {node: [] for node in below}
    done: set[str] = set()
    for start in below:
        path, waiting = {start: None}, [(start, iter(below[start]))]
        while waiting and start not in done:
            node, rest = waiting[-1]
            following = next(rest, None)
            if following is None:
                waiting.pop()
                path.pop(node)
                done.add(node)
            elif following in kept and following not in path:
                kept[node].append(following)
                if following not in done:
                    path[following] = None
                    waiting.append((following, iter(below[following])))
    return kept


def _layers(edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest way from any node without a node above it."""
    above = dict.fromkeys(edges, 0)
    for ends in edges.values():
        for end in ends:
            above[end] += 1
    layer = {node: 0 for node, count in above.items() if not count}
    ready = list(layer)
    for node in ready:
        for end in edges[node]:
            layer[end] = max(layer.get(end, 0), layer[node] + 1)
            above[end] -= 1
            if not above[end]:
                ready.append(end)
    return layer


def _columns(
    edges: Mapping[str, Sequence[str]], layer: Mapping[str, int]
) -> tuple[list[list[str]], dict[tuple[str, str], list[str]]]:
    """The nodes of each layer, and for each edge the chain of nodes it goes through, stand-ins included."""
    columns: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for node in edges:
        columns[layer[node]].append(node)
    chains = {}
    for start, ends in edges.items():
        for end in dict.fromkeys(ends):
            between = [f"\0{start}\0{end}\0{x}" for x in range(layer[start] + 1, layer[end])]
            for x, node in enumerate(between, layer[start] + 1):
                columns[x].append(node)
            chains[start, end] = [start, *between, end]
    return columns, chains


def _neighbours(chains: Mapping[tuple[str, str], Sequence[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Node -> its neighbours in the layer before and in the layer after."""
    near: dict[str, tuple[list[str], list[str]]] = {}
    for chain in chains.values():
        for left, right in pairwise(chain):
            near.setdefault(left, ([], []))[1].append(right)
            near.setdefault(right, ([], []))[0].append(left)
    return near


def _least_crossing(columns: list[list[str]], near: Mapping[str, tuple[list[str], list[str]]]) -> list[list[str]]:
    """The best order that sweeping to and fro comes by; the first of equals, so that one graph has one picture."""
    best, fewest = [list(column) for column in columns], _crossings(columns, near)
    for sweep in range(SWEEPS):
        _reorder(columns, near, downwards=sweep % 2 == 0)
        if (found := _crossings(columns, near)) < fewest:
            best, fewest = [list(column) for column in columns], found
    return best


def _crossings(columns: Sequence[Sequence[str]], near: Mapping[str, tuple[list[str], list[str]]]) -> int:
    place = {node: row for column in columns for row, node in enumerate(column)}
    count = 0
    for column in columns:
        lines = [(place[node], place[after]) for node in column for after in near.get(node, ([], []))[1]]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(lines, 2))
    return count


def _reorder(columns: list[list[str]], near: Mapping[str, tuple[list[str], list[str]]], *, downwards: bool) -> None:
    for column in columns if downwards else reversed(columns):
        place = {node: row for other in columns for row, node in enumerate(other)}
        mean = {}
        for node in column:
            beside = [place[other] for other in near.get(node, ([], []))[0 if downwards else 1]]
            mean[node] = sum(beside) / len(beside) if beside else place[node]
        column.sort(key=lambda node: mean[node])


def _heights(
    columns: Sequence[Sequence[str]],
    near: Mapping[str, tuple[list[str], list[str]]],
    sizes: Sizes,
    boxes: Mapping[str, object],
) -> dict[str, float]:
    """The middle of each node: as near to the mean of its neighbours as the nodes above and below it let it be."""
    tall = {node: sizes.height if node in boxes else sizes.row_gap for column in columns for node in column}
    centre: dict[str, float] = {}
    for column in columns:
        at = 0.0
        for node in column:
            centre[node] = at + tall[node] / 2
            at += tall[node] + sizes.row_gap
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            wanted, offset, before = [], [0.0], None
            for node in column:
                beside = [centre[other] for side in near.get(node, ([], [])) for other in side]
                wanted.append(sum(beside) / len(beside) if beside else centre[node])
                if before is not None:
                    offset.append(offset[-1] + (tall[before] + tall[node]) / 2 + sizes.row_gap)
                before = node
            level = _rising([want - off for want, off in zip(wanted, offset, strict=True)])
            centre |= {node: y + off for node, y, off in zip(column, level, offset, strict=True)}
    return centre


def _rising(wanted: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls, by least squares (pool adjacent violators)."""
    pools: list[list[float]] = []
    for value in wanted:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (low, few), (high, many) = pools.pop(), pools.pop()
            pools.append([(low * few + high * many) / (few + many), few + many])
    return [value for value, count in pools for _ in range(int(count))]
