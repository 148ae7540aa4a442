"""Whatever is done to the trail, who finds it and who cannot: every row on both databases and on exports."""

import sys
from collections.abc import Iterator

import pytest
from support.books_backends import Backend, backend, migrated_file, postgres
from support.tampering import DEEDS, Deed
from support.tampering_judged import Findings, Scene, as_table

__all__ = ["backend", "migrated_file", "postgres"]

pytestmark = pytest.mark.integration


def test_everything_that_can_be_found_is_found_by_whom_the_matrix_says(backend: Backend):
    scene = Scene(backend)
    found = [(deed, scene.judge(deed)) for deed in DEEDS]
    sys.stdout.write(f"\n{backend.name}\n{as_table(found)}\n")
    wrong = [line for deed, findings in found for line in differences(deed, findings)]
    assert wrong == []


def differences(deed: Deed, found: Findings) -> Iterator[str]:
    """Where the findings are not those of the matrix."""
    for judge, kinds in found.kinds.items():
        expected = getattr(deed, judge)
        if (expected not in kinds) if expected else kinds:
            yield f"{deed.what}: {judge} should find {expected}, found {kinds}"
        if deed.entry is not None and kinds.get(expected) != deed.entry:
            yield f"{deed.what}: {judge} names entry {kinds.get(expected)} instead of {deed.entry}"
    if (found.complete, found.signs) != (deed.complete, deed.signs):
        yield f"{deed.what}: complete is {found.complete}, the log signs: {found.signs}"
