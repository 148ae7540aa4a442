"""Copies of checkpoints in another storage."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from necto_pipelines.anchors.copies import CopyAnchor
from necto_pipelines.anchors.port import Receipt
from necto_pipelines.failures import AuditBroken, Unavailable

NOTE = "necto.test/audit\n42\nroot=\n\n— necto.test/audit c2lnbmF0dXJl\n"


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder that does not exist yet, and a storage that is no file system."""
    yield str(tmp_path / "outside" / "audit") if request.param == "folder" else "memory://outside/audit"
    fsspec.filesystem("memory").store.clear()


def read(place: str, size: int) -> str:
    with fsspec.open(f"{place}/checkpoint.{size}", "rb") as file:
        return bytes(file.read()).decode()


def write(place: str, size: int, text: str) -> None:
    CopyAnchor(place).place("x", 1)
    with fsspec.open(f"{place}/checkpoint.{size}", "wb") as file:
        file.write(text.encode())


def test_a_checkpoint_is_copied_byte_for_byte(place: str) -> None:
    assert CopyAnchor(place).place(NOTE, 42) == Receipt()
    assert read(place, 42) == NOTE


def test_a_copy_that_stands_is_left_alone(place: str) -> None:
    CopyAnchor(place).place(NOTE, 42)
    assert CopyAnchor(place).place(NOTE, 42) == Receipt()
    assert read(place, 42) == NOTE


def test_another_history_there_is_told_and_kept(place: str) -> None:
    write(place, 42, NOTE.replace("root", "toor"))
    with pytest.raises(AuditBroken, match=r"outside/audit/checkpoint\.42 says something else"):
        CopyAnchor(place).place(NOTE, 42)
    assert read(place, 42) == NOTE.replace("root", "toor")


def test_more_than_the_checkpoint_there_is_told(place: str) -> None:
    write(place, 42, NOTE + "more\n")
    with pytest.raises(AuditBroken):
        CopyAnchor(place).place(NOTE, 42)


@pytest.mark.parametrize("length", [0, 1, len(NOTE.encode()) - 1])
def test_a_copy_that_breaks_off_is_written_anew(place: str, length: int) -> None:
    write(place, 42, NOTE.encode()[:length].decode(errors="ignore"))
    CopyAnchor(place).place(NOTE, 42)
    assert read(place, 42) == NOTE


def test_a_storage_that_fails_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Unavailable, match="file"):
        CopyAnchor(str(tmp_path / "file" / "audit")).place(NOTE, 42)


def test_a_kind_of_storage_that_nobody_knows_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="nosuchstorage"):
        CopyAnchor("nosuchstorage://bucket/audit").place(NOTE, 42)


def test_who_signs_in_there_is_not_named() -> None:
    anchor = CopyAnchor("nosuchstorage://ada:secret@host/audit")
    assert anchor.name == "nosuchstorage://host/audit"
    with pytest.raises(Unavailable) as failure:
        anchor.place(NOTE, 42)
    assert "secret" not in str(failure.value)
