"""One growing export, at every size on which trees differ: accepted by OpenSSL and a shell, and by `necto-verify`."""

import os
import re
import subprocess
from pathlib import Path

import necto_verify
import pytest
from support.books_backends import Backend, backend, books, migrated_file, postgres
from support.leaf_log import grow

from necto_pipelines.books.books import Books

__all__ = ["backend", "books", "migrated_file", "postgres"]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "verify-with-openssl.md"
EDGES = [0, 1, 2, 255, 256, 257, 511, 512, 513]
LARGE = [65_535, 65_536, 65_537, 70_000]

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("backend", ["sqlite"], indirect=True)]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script that the page gives to auditors, as it stands there."""
    found = re.search(r"```sh\n(#!/bin/sh\n# usage: sh verify-export.sh .*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    file = tmp_path / "verify-export.sh"
    file.write_text(found[1])
    return file


def accepted(script: Path, folder: Path, vkey: str) -> str:
    ended = subprocess.run(["sh", script, folder, vkey], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "sizes",
    [
        EDGES,
        pytest.param(
            LARGE,
            marks=[
                pytest.mark.skipif(not os.environ.get("NECTO_FULL_TESTS"), reason="for minutes: NECTO_FULL_TESTS=1"),
                pytest.mark.timeout(3600),
            ],
        ),
    ],
    ids=["edges", "large"],
)
def test_an_export_that_grows_is_accepted_at_every_size(books: Books, backend: Backend, script, tmp_path, sizes):
    folder = tmp_path / "export"
    for size in sizes:
        grow(backend, books, size)
        assert books.export(folder).size == size
        assert f"verified: {size} entries" in accepted(script, folder, books.vkey)
        verdict = necto_verify.verify(folder, saved=[backend.checkpoints])
        assert (verdict.faults, verdict.size) == ((), size)
