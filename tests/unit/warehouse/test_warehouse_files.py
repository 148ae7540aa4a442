"""The warehouse: one file for one content, whole or not at all, and no changed byte goes unnoticed."""

import hashlib
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from necto_pipelines.failures import AuditBroken, InvalidInput
from necto_pipelines.model.tables import TIME, USD, records
from necto_pipelines.warehouse.warehouse import Warehouse

TABLE = pa.table(
    {
        "usd": pa.array([Decimal("1.250000000001"), None], USD),
        "at": pa.array([1_790_000_000_000_001, None], TIME),
        "name": pa.array(["a", "Zürich"], pa.string()),
        "on": pa.array([True, None], pa.bool_()),
    }
)


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """A local folder and an object store."""
    return UPath(tmp_path) if request.param == "folder" else UPath(f"memory://{tmp_path.name}")


def files(root: UPath) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_frame_comes_back_with_its_exact_values_and_arrow_types(root: UPath) -> None:
    warehouse = Warehouse(root)
    blob = warehouse.write_frame(TABLE)
    frame = warehouse.read_frame(blob.sha256)
    assert records(frame) == TABLE.to_pylist()
    assert [column.pyarrow_dtype for column in frame.dtypes] == TABLE.schema.types
    assert blob.rows == 2


def test_a_blob_is_named_by_the_digest_of_its_bytes(root: UPath) -> None:
    blob = Warehouse(root).write_frame(TABLE)
    body = (root / "sha256" / blob.sha256[:2] / f"{blob.sha256}.parquet").read_bytes()
    assert hashlib.sha256(body).hexdigest() == blob.sha256
    assert len(body) == blob.size


def test_equal_content_is_stored_once_however_it_is_chunked(root: UPath) -> None:
    warehouse = Warehouse(root)
    rows = 150_000  # below it, the writer forgets the chunks by itself
    whole = pa.table({"number": range(rows)})
    chunked = pa.concat_tables([whole.slice(start, 333) for start in range(0, rows, 333)])
    assert warehouse.write_frame(whole).sha256 == warehouse.write_frame(chunked).sha256
    assert len(files(root)) == 1


def test_a_flipped_byte_is_refused_at_the_next_read_and_at_the_next_write(root: UPath) -> None:
    warehouse = Warehouse(root)
    sha256 = warehouse.write_frame(TABLE).sha256
    path = root / "sha256" / sha256[:2] / f"{sha256}.parquet"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(AuditBroken, match="no longer matches its recorded digest"):
        warehouse.read_frame(sha256)
    with pytest.raises(AuditBroken, match="no longer matches its recorded digest"):
        warehouse.write_frame(TABLE)


def test_a_missing_file_is_a_break_of_the_trail(root: UPath) -> None:
    with pytest.raises(AuditBroken, match="missing"):
        Warehouse(root).read_raw("0" * 64)


def test_a_write_that_was_cut_off_leaves_nothing_under_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(tmp_path)

    def power_cut(_: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        warehouse.write_raw(b"answer")
    assert not warehouse.has(hashlib.sha256(b"answer").hexdigest())
    monkeypatch.undo()
    assert warehouse.read_raw(warehouse.write_raw(b"answer")) == b"answer"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_a_digest_can_become_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="64 lower-case hexadecimal digits"):
        Warehouse(tmp_path).read_raw(name)


def test_the_root_may_be_text(tmp_path: Path) -> None:
    assert Warehouse(str(tmp_path)).read_raw(Warehouse(tmp_path).write_raw(b"x")) == b"x"


@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=2000))
def test_any_answer_comes_back_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    warehouse = Warehouse(tmp_path_factory.getbasetemp() / "laws")
    sha256 = warehouse.write_raw(body)
    assert warehouse.has(sha256)
    assert warehouse.read_raw(sha256) == body
