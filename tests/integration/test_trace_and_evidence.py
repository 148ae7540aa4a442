"""Tracing a real invoice of the sandbox, tampering with what it rests on, and packing its month."""

import base64
import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import jsonschema
import pytest
from support.necto_command import necto
from support.procurement_world import ACTOR, START, World, procurement_world

from necto_pipelines.assets.evidence_pack import evidence_packs
from necto_pipelines.audit.checkpoint import open_checkpoint
from necto_pipelines.audit.merkle import leaf_hash
from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import verify_tlog_proof
from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.anchor import AnchorKind
from necto_pipelines.model.clock import FrozenClock, rfc3339
from necto_pipelines.model.tables import EVIDENCE_FILES, records
from necto_pipelines.procurement.bundle_files import write_bundle
from necto_pipelines.procurement.evidence_pack import pack_month
from necto_pipelines.procurement.invoicing import issue_month
from necto_pipelines.procurement.proof_bundle import trace
from necto_pipelines.procurement.proof_records import Bundle, Level, Verdict
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.procurement.settling import settle
from necto_pipelines.procurement.trace_report import report_html
from necto_pipelines.resources.failed_checks import failed_checks
from necto_pipelines.resources.parquet_io import parquet_io_manager
from necto_pipelines.resources.runtime import prepared
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration
MONTH = "2026-11"
AUDIT = service("audit")
"""who writes after the run `run-1` of the world has closed its manifest"""
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "trace-bundle.schema.json"


@dataclass(frozen=True)
class Bought:
    """A home with one invoice and one order that nothing could serve; to read or to copy."""

    home: Path
    invoice: str
    order: str
    lease: str
    refused: str


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Bought:
    home = tmp_path_factory.mktemp("bought") / "home"
    with procurement_world(home) as world:
        order = world.procure(world.submit().id)
        refused = world.submit(max_usd_per_gpu_hour="0.01")
        world.route(refused.id)
        (lease,) = world.runtime.books.leases()
        world.clock.advance(4 * 3600)
        settle(world.runtime, lease, ACTOR)
        (invoice,) = issue_month(world.runtime, MONTH)
        _close_manifest(world)
        return Bought(home, invoice.number, order.id, lease.id, refused.id)


def _close_manifest(world: World) -> None:
    """What the sensor does when a run has ended."""
    with world.runtime.books.change(AUDIT) as change:
        change.seal_run("run-1", "procure", "SUCCESS", [(1, leaf_hash(b"an event"))])


@contextmanager
def opened(home: Path) -> Iterator[Runtime]:
    runtime = Runtime.open(Settings(home=home), FrozenClock(START))
    try:
        yield runtime
    finally:
        runtime.close()


@pytest.fixture
def home(bought: Bought, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bought.home, tmp_path / "home"))


@pytest.fixture
def runtime(home: Path) -> Iterator[Runtime]:
    with opened(home) as made:
        yield made


@pytest.fixture(scope="module")
def bundle(bought: Bought, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    with opened(Path(shutil.copytree(bought.home, tmp_path_factory.mktemp("traced") / "home"))) as made:
        return trace(made, bought.invoice)


def test_an_invoice_is_proved_back_to_the_raw_answers(bundle: Bundle) -> None:
    assert bundle.ok
    assert bundle.simulated
    assert bundle.root.kind == "invoice"
    assert {hop.kind for hop in bundle.hops} >= {
        "invoice", "line", "charge", "usage", "lease", "decision", "bids", "effect", "order", "hold", "budget", "data",
        "conversion", "raw answer", "run", "seal",
    }  # fmt: skip
    assert {hop.verdict for hop in bundle.hops} == {Verdict.PROVED, Verdict.PART}
    assert bundle.assurance.level is Level.SELF_CONSISTENT
    known = {hop.id for hop in bundle.hops}
    assert all(below in known for hop in bundle.hops for below in hop.rests_on)


def test_whoever_has_the_json_and_the_key_reaches_every_verdict_again(bundle: Bundle) -> None:
    document = json.loads(bundle.model_dump_json())
    verifier = Verifier.from_vkey(document["log"]["vkey"])
    head = open_checkpoint(document["log"]["checkpoint"], verifier)
    leaves = {leaf["index"]: leaf for leaf in document["leaves"]}
    for index, leaf in leaves.items():
        proved = verify_tlog_proof(leaf["proof"], base64.b64decode(leaf["leaf"]), verifier)
        assert (proved.index, proved.checkpoint) == (index, head)
    rows = [hop for hop in document["hops"] if hop["row"]]
    assert len(rows) > 15
    for hop in rows:
        digest = hashlib.sha256(base64.b64decode(hop["row"]["text"])).hexdigest()
        said = json.loads(base64.b64decode(leaves[hop["leaf"]]["leaf"]))["rows"]
        assert {"table": hop["row"]["table"], "key": hop["row"]["key"], "sha256": digest} in said


def test_the_bundle_is_as_its_published_schema_says(bundle: Bundle) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == Bundle.model_json_schema(mode="serialization"), "write the file anew, see the how-to"
    jsonschema.validate(json.loads(bundle.model_dump_json()), schema)


def test_a_persons_name_stands_nowhere_in_it(bundle: Bundle) -> None:
    assert "Lovelace" not in bundle.model_dump_json() + report_html(bundle)
    assert not any(b"Lovelace" in base64.b64decode(leaf.leaf) for leaf in bundle.leaves)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("invoice", lambda b, _: b.invoice),
        ("line", lambda b, _: f"{b.invoice}/1"),
        ("order", lambda b, _: b.order),
        ("lease", lambda b, _: b.lease),
        ("run", lambda *_: "run-1"),
        *((kind, lambda _, hops, kind=kind: hops[kind]) for kind in ("charge", "conversion", "decision")),
    ],
)
def test_anything_with_an_id_can_be_traced(
    runtime: Runtime, bought: Bought, bundle: Bundle, kind: str, what: Callable[[Bought, dict[str, str]], str]
) -> None:
    found = trace(runtime, what(bought, {hop.kind: hop.key for hop in bundle.hops}))
    assert found.root.kind == kind
    assert found.ok, found.failed
    reached = {hop.kind for hop in found.hops}
    assert "raw answer" in reached


def test_a_run_is_proved_with_all_that_it_wrote(runtime: Runtime) -> None:
    root = trace(runtime, "run-1").root
    written = [index for index, leaf in runtime.books.leaf_of("run", "run-1") if b'"run.sealed"' not in leaf]
    assert (root.verdict, root.facts["manifest"]) == (Verdict.PROVED, "complete: count and digest agree")
    assert root.facts["leaves"] == str(len(written))
    assert set(written) <= set(root.leaves)


def test_an_order_that_was_never_placed_shows_its_refusals(runtime: Runtime, bought: Bought) -> None:
    found = trace(runtime, bought.refused)
    (decision,) = [hop for hop in found.hops if hop.kind == "decision"]
    assert decision.facts["compliant"] == "0"
    assert "price_above_cap" in decision.facts["reasons"]
    assert "lease" not in {hop.kind for hop in found.hops}
    assert found.ok


@pytest.mark.parametrize("what", ["", "NECTO-2026-999999", "ord_unknown", "NECTO-2026-000001/99", "../../etc", "42"])
def test_an_unknown_id_is_one_clear_error(runtime: Runtime, what: str) -> None:
    with pytest.raises(InvalidInput, match=r"name an invoice .*necto invoice list"):
        trace(runtime, what)


def _sql(*statements: str) -> Callable[[Path], None]:
    def run(home: Path) -> None:
        with closing(sqlite3.connect(home / "books.db")) as database, database:
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                database.execute(statement)

    return run


def _bytes_of(title: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    def run(home: Path) -> None:
        with opened(home) as made:
            invoice = made.books.invoices()[0].number
            sha256 = next(hop.blob.sha256 for hop in trace(made, invoice).hops if hop.title == title and hop.blob)
        (file,) = (home / "warehouse").rglob(f"*{sha256}*")
        change(file)

    return run


def _flip(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


@pytest.mark.parametrize(
    ("tamper", "kind", "verdict"),
    [
        pytest.param(_sql("UPDATE leases SET usd_per_hour = '1'"), "lease", "row differs", id="edited row"),
        pytest.param(_sql("UPDATE leases SET usd_per_hour = 'x'"), "lease", "row differs", id="unreadable row"),
        pytest.param(_sql("UPDATE decisions SET document = '{'"), "decision", "row differs", id="broken document"),
        pytest.param(_sql("DELETE FROM usage"), "usage", "row differs", id="deleted row"),
        pytest.param(
            _sql("UPDATE audit_leaves SET leaf = CAST(replace(CAST(leaf AS TEXT), 'swap', 'swop') AS BLOB)"),
            "order",
            "unproved",
            id="edited leaf",
        ),
        pytest.param(_sql("DELETE FROM audit_names WHERE noun = 'holds'"), "hold", "unproved", id="hidden names"),
        pytest.param(_bytes_of("binding bid", Path.unlink), "raw answer", "blob missing", id="lost answer"),
        pytest.param(_bytes_of("binding bid", _flip), "raw answer", "blob differs", id="one changed bit"),
        pytest.param(_bytes_of("provider_catalog", _flip), "data", "blob differs", id="changed table"),
    ],
)
def test_what_was_tampered_with_is_named(
    home: Path, bought: Bought, tamper: Callable[[Path], None], kind: str, verdict: str
) -> None:
    tamper(home)
    said = necto("audit", "trace", bought.invoice, "--home", home, "--json")
    assert verdict in {hop["verdict"] for hop in said.json["hops"] if hop["kind"] == kind}
    assert said.code == 1
    assert said.json["ok"] is False
    page = necto("audit", "trace", bought.invoice, "--home", home)
    assert (page.code, "NOT PROVED" in page.out, f"✗ {kind}" in page.out) == (1, True, True)


def test_a_log_that_may_not_be_signed_is_a_fault_of_the_bundle(home: Path, bought: Bought) -> None:
    with opened(home) as made:
        made.books.sign()
    _sql("UPDATE audit_head SET edge = x'0000000000000000'")(home)
    said = necto("audit", "trace", bought.invoice, "--home", home, "--json")
    assert said.code == 1
    assert said.json["faults"]
    assert said.json["assurance"]["level"] == "broken"


def test_anchors_that_cover_every_leaf_raise_the_assurance(runtime: Runtime, bought: Bought) -> None:
    books, verifier = runtime.books, Verifier.from_vkey(runtime.books.vkey)
    books.sign()
    checkpoint = open_checkpoint(books.newest_checkpoint() or "", verifier)
    with books.change(AUDIT) as change:
        change.record_anchor(AnchorKind.COPY, "s3://auditor/log", checkpoint)
    assert trace(runtime, bought.invoice).assurance.level is Level.CONSISTENT_WITH
    with books.change(AUDIT) as change:
        change.record_anchor(AnchorKind.RFC3161, "tsa.example", checkpoint, at=START, token=b"\x30\x00")
    bundle = trace(runtime, bought.invoice)
    assert bundle.assurance.level is Level.TIME_BOUNDED
    assert bundle.assurance.not_after == rfc3339(START)
    assert [anchor.holds for anchor in bundle.anchors] == [True, True]
    assert all(leaf.not_after == rfc3339(START) for leaf in bundle.leaves)


def test_an_anchor_of_another_history_holds_nothing(runtime: Runtime, bought: Bought) -> None:
    books, verifier = runtime.books, Verifier.from_vkey(runtime.books.vkey)
    books.sign()
    checkpoint = open_checkpoint(books.newest_checkpoint() or "", verifier)
    other = type(checkpoint)(checkpoint.origin, checkpoint.size, bytes(32))
    with books.change(AUDIT) as change:
        change.record_anchor(AnchorKind.COPY, "s3://auditor/log", other)
    bundle = trace(runtime, bought.invoice)
    assert [anchor.holds for anchor in bundle.anchors] == [False]
    assert bundle.assurance.level is Level.SELF_CONSISTENT


def test_the_report_needs_no_network_and_no_script(bundle: Bundle) -> None:
    page = report_html(bundle)
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://|javascript:", page, re.IGNORECASE)
    assert "default-src 'none'" in page
    for words in ("Simulated.", "It does not prove", "verify.sh", bundle.log.vkey, "Invoice NECTO-2026-000001"):
        assert words in page
    assert all(leaf.leaf_hash in page for leaf in bundle.leaves)


def test_no_text_in_the_picture_is_wider_than_its_box(bundle: Bundle) -> None:
    sizes = {"kind": 9.5 * 1.1, "badge": 9.5, "title": 12.0, "caption": 10.0}
    boxes = re.findall(r'<g class="box.*?</g>', report_html(bundle), re.DOTALL)
    assert len(boxes) > 20
    for box in boxes:
        lines: dict[str, float] = {}
        for kind, y, text in re.findall(r'<text class="(\w+)" [^>]*y="([0-9.]+)"[^>]*>([^<]*)</text>', box):
            lines[y] = lines.get(y, 0) + len(text.replace("&#x27;", "'").replace("&amp;", "&")) * sizes[kind] * 0.61
        assert max(lines.values()) <= 190 - 2 * 12


def test_hostile_texts_are_shown_and_not_obeyed(bundle: Bundle) -> None:
    evil = '"><script>alert(1)</script>[red]'
    hops = tuple(hop.model_copy(update={"title": evil, "facts": {evil: evil}, "why": evil}) for hop in bundle.hops)
    page = report_html(bundle.model_copy(update={"hops": hops, "faults": (evil,)}))
    assert "<script" not in page


def verified(folder: Path, vkey: str) -> tuple[int, str]:
    ended = subprocess.run(["sh", folder / "verify.sh", folder, vkey], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def small(bought: Bought, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle of a conversion as a folder, which is quick to check, and the log's key."""
    folder = tmp_path_factory.mktemp("bundle")
    with opened(Path(shutil.copytree(bought.home, folder / "home"))) as made:
        key = made.books.conversions(bought.order)[0].id
        write_bundle(trace(made, key), made.warehouse, folder / "bundle")
        return folder / "bundle", made.books.vkey


def test_a_bundle_is_checked_with_openssl_and_a_shell_alone(small: tuple[Path, str]) -> None:
    code, said = verified(*small)
    assert code == 0, said
    assert [line[:2] for line in said.splitlines()[:4]] == ["ok"] * 4
    assert {"report.html", "bundle.json", "README.txt", "vkey"} <= {path.name for path in small[0].iterdir()}


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("leaves/*.json", "is not in the signed log"),
        ("rows/conversions/*.json", "is not as leaves/"),
        ("blobs/*", "hashes to"),
        ("checkpoint", "FAILED"),
    ],
)
def test_a_changed_file_of_a_bundle_fails_the_check(
    small: tuple[Path, str], tmp_path: Path, pattern: str, complaint: str
) -> None:
    folder = Path(shutil.copytree(small[0], tmp_path / "changed"))
    _flip(min(folder.glob(pattern)))
    code, said = verified(folder, small[1])
    assert code == 1
    assert complaint in said


def test_a_bundle_of_something_that_failed_fails_the_check(home: Path, bought: Bought, tmp_path: Path) -> None:
    _sql("DELETE FROM holds")(home)
    folder, page = tmp_path / "bundle", tmp_path / "sub" / "report.html"
    said = necto("audit", "trace", bought.order, "--home", home, "--bundle", folder, "--html", page)
    assert said.code == 1
    assert "Not proved" in page.read_text()
    code, told = verified(folder, (folder / "vkey").read_text().strip())
    assert code == 1
    assert "FAILED  when this was made: hold:" in told
    again = necto("audit", "trace", bought.order, "--home", home, "--bundle", folder)
    assert (again.code, again.complaints[0][:15]) == (2, "invalid bundle:")


def test_a_month_is_packed_alike_every_time_and_its_digest_is_logged(bought: Bought, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        with opened(Path(shutil.copytree(bought.home, tmp_path / name))) as made:
            pack = pack_month(made, MONTH, AUDIT)
            digests.add(pack.sha256)
            leaf = json.loads(made.books.leaves(pack.leaf_index, pack.leaf_index + 1)[0].leaf)
            assert made.books.verify().ok
    assert digests == {hashlib.sha256(pack.path.read_bytes()).hexdigest()}
    assert leaf["type"] == "evidence.packed"
    assert leaf["body"] == {"month": MONTH, "sha256": pack.sha256, "files": len(pack.files)}
    with zipfile.ZipFile(pack.path) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        manifest = json.loads(archive.read("manifest.json"))
        assert {file["path"] for file in manifest["files"]} == set(names) - {"manifest.json"}
        for file in manifest["files"]:
            assert hashlib.sha256(archive.read(file["path"])).hexdigest() == file["sha256"]
        assert b"Lovelace" not in b"".join(archive.read(name) for name in names)
        assert "does not show that a recorded statement is true" in archive.read("README.txt").decode().replace(
            "\n", " "
        )
        verification = json.loads(archive.read("verification.json"))
        assert verification["books"]["ok"] is True
        assert verification["necto_verify"]["ok"] is True
        controls = json.loads(archive.read("controls.json"))["controls"]
        assert any(each["counts"].get("budget.held") == 1 for each in controls)
        assert f"invoices/{bought.invoice}/report.html" in names


def test_a_month_without_the_other_verifier_is_packed_and_says_so(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "necto_verify", None)
    pack = pack_month(runtime, "2026-10", AUDIT)
    assert (pack.ok, pack.invoices) == (True, 0)
    with zipfile.ZipFile(pack.path) as archive:
        assert json.loads(archive.read("verification.json"))["necto_verify"]["ran"] is False
        assert "No invoice was issued" in archive.read("index.html").decode()


def test_a_month_that_does_not_hold_is_packed_and_says_so(home: Path, bought: Bought) -> None:
    _sql("DELETE FROM invoices")(home)
    said = necto("audit", "pack", MONTH, "--home", home, "--json")
    assert (said.code, said.json["ok"], said.json["invoices"]) == (1, False, 1)
    with zipfile.ZipFile(said.json["path"]) as archive:
        assert "Something failed" in archive.read("index.html").decode()
        assert "row_missing" in archive.read("verification.json").decode()


def test_checks_that_failed_in_the_month_are_listed() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="made"), dg.AssetCheckSpec("bad", asset="made")])
    def made() -> Iterator[object]:
        yield dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(check_name="good", passed=True),
                dg.AssetCheckResult(check_name="bad", passed=False, description="two rows are missing"),
            ]
        )

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([made], instance=instance).success
        month = rfc3339(datetime.now(UTC))[:7]
        (told,) = failed_checks(instance, month)
        assert failed_checks(instance, "2020-01") == []
    assert (told["asset"], told["check"], told["description"]) == ("made", "bad", "two rows are missing")


def test_the_asset_lists_the_files_of_the_pack(runtime: Runtime, bought: Bought) -> None:
    resources = {"runtime": prepared(runtime), "parquet_io": parquet_io_manager}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([evidence_packs], instance=instance, resources=resources, partition_key=MONTH)
        assert result.success
        snapshot = latest_snapshot(instance, runtime.warehouse, "evidence_packs", MONTH)
    rows = records(snapshot.frame)
    assert list(rows[0]) == list(EVIDENCE_FILES.columns)
    (file,) = (runtime.settings.home / "evidence" / MONTH).glob("*.zip")
    assert {row["pack_sha256"] for row in rows} == {hashlib.sha256(file.read_bytes()).hexdigest()}
    assert f"invoices/{bought.invoice}/bundle.json" in {row["path"] for row in rows}
