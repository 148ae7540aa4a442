"""`necto demo` as a new user runs it, and every command that reads the home it leaves behind."""

import base64
import csv
import hashlib
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from support.necto_command import Said, necto, necto_process

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import verify_tlog_proof
from necto_pipelines.cli.output import opened_books
from necto_pipelines.warehouse.warehouse import Warehouse

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.fixture
def home(demonstrated: tuple[Path, Said]) -> Path:
    return demonstrated[0]


@pytest.fixture
def found(demonstrated: tuple[Path, Said]) -> dict[str, Any]:
    document: dict[str, Any] = demonstrated[1].json
    return document


def test_the_demonstration_prints_one_json_object_of_the_promised_shape(found: dict[str, Any]) -> None:
    assert found["offers"]["count"] > 0
    assert found["offers"]["networks"] == ["aethir", "akash", "render"]
    assert found["comparison"]
    for row in found["comparison"]:
        depin, cloud = row["depin_usd_gpu_hour"], row["cloud_usd_gpu_hour"]
        assert row["gpu"]
        assert row["cloud"] in {"aws", "azure", "gcp"}
        assert depin > 0
        assert row["savings_pct"] == pytest.approx(100 * (1 - depin / cloud), abs=0.01)
    assert {row["cloud"] for row in found["comparison"]} == {"aws", "azure", "gcp"}
    assert [order["state"] for order in found["orders"]] == ["completed"]
    (lease,) = found["leases"]
    assert lease["id"].startswith("lse_")
    assert lease["network"] == "akash"
    assert lease["provider"].startswith("akash1")
    assert 0 < lease["usd_per_hour"] < 4
    assert found["invoice"]["number"].endswith("-000001")
    assert found["invoice"]["lines"] == 5
    assert found["audit"]["verified"] is True
    assert found["audit"]["size"] > 20
    assert len(bytes.fromhex(found["audit"]["root"])) == 32
    assert found["simulated"] is True


def test_progress_is_told_on_standard_error_and_without_warnings(demonstrated: tuple[Path, Said]) -> None:
    err = demonstrated[1].err
    for step in ("Refresh every asset", "Submit an order", "Close and settle", "Invoice", "Verify the audit trail"):
        assert f"✓ {step}" in err
    assert "Warning" not in err
    assert "Traceback" not in err


def test_the_lines_of_the_csv_add_up_to_the_total(found: dict[str, Any]) -> None:
    invoice = found["invoice"]
    with Path(invoice["files"]["csv"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == invoice["lines"]
    assert sum(Decimal(row["amount_usd"]) for row in rows) == Decimal(invoice["total_usd"])
    document = json.loads(Path(invoice["files"]["json"]).read_bytes())
    assert document["total_usd"] == invoice["total_usd"]
    assert [line["amount_usd"] for line in document["lines"]] == [row["amount_usd"] for row in rows]


def test_the_pdf_can_be_read_and_says_what_is_owed(found: dict[str, Any]) -> None:
    invoice = found["invoice"]
    text = "\n".join(page.extract_text() for page in PdfReader(invoice["files"]["pdf"]).pages)
    assert invoice["number"] in text
    assert invoice["total_usd"] in text
    assert "imulat" in text  # simulated data is labelled on the document too


def test_a_second_demonstration_in_the_same_home_keeps_the_first_and_tells_a_person(
    copied_home: Path, found: dict[str, Any]
) -> None:
    said = necto_process("demo", "--home", copied_home)
    assert said.code == 0, said.err
    for words in ("Simulated:", "what it saves against", "compliant providers", "necto audit trace NECTO-"):
        assert words in said.out
    assert "Warning" not in said.err
    orders = necto("order", "list", "--home", copied_home, "--json").json
    assert [order["state"] for order in orders] == ["completed", "completed"]
    assert orders[0]["id"] == found["orders"][0]["id"]
    leases = necto("lease", "list", "--home", copied_home, "--json").json
    assert [lease["state"] for lease in leases] == ["closed", "closed"]
    assert leases[0]["id"] == found["leases"][0]["id"]
    invoices = necto("invoice", "list", "--home", copied_home, "--json").json
    assert [invoice["number"][-7:] for invoice in invoices] == ["-000001", "-000002"]
    assert necto("audit", "verify", "--home", copied_home).code == 0


def test_the_trail_verifies(home: Path, found: dict[str, Any]) -> None:
    said = necto("audit", "verify", "--home", home)
    assert said.code == 0
    assert f"verified {found['audit']['size']} entries" in said.out
    verdict = necto("audit", "verify", "--home", home, "--json").json
    assert verdict["ok"] is True
    assert (verdict["size"], verdict["root"]) == (found["audit"]["size"], found["audit"]["root"])


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_changed_byte_of_a_leaf_is_found_and_the_entry_is_named(copied_home: Path, where: str) -> None:
    with closing(sqlite3.connect(copied_home / "books.db")) as database, database:
        size = database.execute("SELECT count(*) FROM audit_leaves").fetchone()[0]
        index = {"first": 0, "middle": size // 2, "last": size - 1}[where]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute("UPDATE audit_leaves SET leaf = leaf || 'x' WHERE leaf_index = ?", [index])
        database.execute("DROP TRIGGER audit_leaves_no_update")
        (leaf,) = database.execute("SELECT leaf FROM audit_leaves WHERE leaf_index = ?", [index]).fetchone()
        place = leaf.index(b"2026")
        changed = leaf[:place] + bytes([leaf[place] ^ 1]) + leaf[place + 1 :]
        database.execute("UPDATE audit_leaves SET leaf = ? WHERE leaf_index = ?", [changed, index])
    said = necto("audit", "verify", "--home", copied_home)
    assert said.code == 1
    assert f"entry {index}: " in said.out
    faults = necto("audit", "verify", "--home", copied_home, "--json").json["faults"]
    assert index in {fault["index"] for fault in faults}


@pytest.mark.parametrize(
    ("table", "key", "column", "old", "new"),
    [
        ("orders", "id", "request", '"hours":"4"', '"hours":"5"'),
        ("charges", "id", "amount_usd", ".", ".0"),
        ("invoices", "number", "document", '"total_usd":"', '"total_usd":"1'),
        ("leases", "id", "native_amount", ".", ".1"),
        ("budgets", "cost_centre", "limit_usd", "5", "6"),
    ],
)
def test_a_changed_row_is_found_and_named_by_table_and_key(
    copied_home: Path, table: str, key: str, column: str, old: str, new: str
) -> None:
    with closing(sqlite3.connect(copied_home / "books.db")) as database, database:
        (row,) = database.execute(f"SELECT {key} FROM {table} LIMIT 1").fetchone()
        changed = database.execute(
            f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE {key} = ? AND {column} LIKE ?",
            [old, new, row, f"%{old}%"],
        )
        assert changed.rowcount == 1
    said = necto("audit", "verify", "--home", copied_home)
    assert said.code == 1
    assert f"{table} {row}: not as leaf " in said.out


def test_an_invoice_that_vanished_is_missed(copied_home: Path, found: dict[str, Any]) -> None:
    with closing(sqlite3.connect(copied_home / "books.db")) as database, database:
        database.execute("DELETE FROM invoices")
    said = necto("audit", "verify", "--home", copied_home)
    assert said.code == 1
    assert f"invoices {found['invoice']['number']}: gone" in said.out


def test_an_invoice_is_walked_back_to_the_bytes_the_network_answered(home: Path, found: dict[str, Any]) -> None:
    said = necto("audit", "trace", found["invoice"]["number"], "--home", home, "--json")
    assert said.code == 0
    hops = said.json["hops"]
    assert {hop["kind"] for hop in hops} >= {
        "invoice", "line", "charge", "usage", "lease", "decision", "data", "conversion", "raw answer", "order", "run",
    }  # fmt: skip
    for hop in hops:
        assert hop["verdict"] in {"line": ("part",), "run": ("proved", "pending")}.get(hop["kind"], ("proved",)), hop
    warehouse = Warehouse(home / "warehouse")
    (catalog,) = [hop for hop in hops if hop["title"] == "provider_catalog"]
    assert len(warehouse.read_frame(catalog["facts"]["sha256"])) == found["offers"]["count"]
    (answer,) = [hop for hop in hops if hop["title"] == "network's offers"]
    body = warehouse.read_raw(answer["facts"]["sha256"])
    assert hashlib.sha256(body).hexdigest() == answer["facts"]["sha256"]
    assert found["leases"][0]["provider"] in body.decode()
    page = necto("audit", "trace", found["invoice"]["number"], "--home", home)
    assert page.code == 0
    assert catalog["facts"]["sha256"][:16] in page.out
    assert "PROVED" in page.out


def test_a_walk_over_an_edited_row_says_that_it_is_not_proved(copied_home: Path, found: dict[str, Any]) -> None:
    with closing(sqlite3.connect(copied_home / "books.db")) as database, database:
        database.execute("UPDATE leases SET usd_per_hour = '1'")
    said = necto("audit", "trace", found["invoice"]["number"], "--home", copied_home, "--json")
    assert said.code == 1
    assert {hop["kind"] for hop in said.json["hops"] if hop["verdict"] == "row differs"} == {"lease"}


def test_a_walk_over_a_lost_answer_says_that_it_is_not_proved(copied_home: Path, found: dict[str, Any]) -> None:
    hops = necto("audit", "trace", found["invoice"]["number"], "--home", copied_home, "--json").json["hops"]
    digest = next(hop["facts"]["sha256"] for hop in hops if hop["title"] == "binding bid")
    for file in (copied_home / "warehouse").rglob(f"*{digest}*"):
        file.unlink()
    said = necto("audit", "trace", found["invoice"]["number"], "--home", copied_home, "--json")
    assert said.code == 1
    assert [hop["title"] for hop in said.json["hops"] if hop["verdict"] == "blob missing"] == ["binding bid"]


def test_an_entry_is_proved_to_somebody_who_has_only_the_public_key(home: Path, found: dict[str, Any]) -> None:
    with opened_books(home) as books:
        key, leaf = Verifier.from_vkey(books.vkey), books.leaves(0, 1)[0].leaf
    said = necto("audit", "prove", "0", "--tlog-proof", "--home", home)
    assert said.code == 0
    proved = verify_tlog_proof(said.out, leaf, key)
    assert proved.index == 0
    assert proved.checkpoint.size == found["audit"]["size"]
    assert proved.checkpoint.root.hex() == found["audit"]["root"]
    bundle = necto("audit", "prove", "0", "--home", home).json
    assert base64.b64decode(bundle["leaf"]) == leaf
    assert base64.b64decode(bundle["rootHash"]).hex() == found["audit"]["root"]


def test_the_order_is_shown_with_its_reasons(home: Path, found: dict[str, Any]) -> None:
    order_id = found["orders"][0]["id"]
    listed = necto("order", "list", "--home", home, "--json").json
    assert [(order["id"], order["state"]) for order in listed] == [(order_id, "completed")]
    assert necto("order", "list", "--state", "waiting", "--home", home, "--json").json == []
    assert order_id in necto("order", "list", "--home", home).out
    shown = necto("order", "show", order_id, "--home", home, "--json").json
    (decision,) = shown["decisions"]
    assert decision["chosen"]
    refused = [candidate for candidate in decision["candidates"] if not candidate["rank"]]
    assert refused
    assert all(candidate["refusals"] for candidate in refused)
    assert shown["hold"]["state"] == "settled"
    assert len(shown["conversions"]) == 2
    page = necto("order", "show", order_id, "--refused", "--home", home).out
    assert found["leases"][0]["id"] in page
    assert "no_evidence" in page


def test_leases_invoices_and_budgets_are_listed(home: Path, found: dict[str, Any]) -> None:
    lease_id, invoice = found["leases"][0]["id"], found["invoice"]
    (lease,) = necto("lease", "list", "--home", home, "--json").json
    assert (lease["id"], lease["state"]) == (lease_id, "closed")
    assert lease_id in necto("lease", "list", "--home", home).out
    (listed,) = necto("invoice", "list", "--home", home, "--json").json
    assert (listed["number"], Decimal(listed["total_usd"])) == (invoice["number"], Decimal(invoice["total_usd"]))
    assert invoice["number"] in necto("invoice", "list", "--month", listed["month"], "--home", home).out
    assert necto("invoice", "list", "--month", "2001-01", "--home", home, "--json").json == []
    (budget,) = necto("budget", "list", "--home", home, "--json").json
    assert Decimal(budget["spent_usd"]) == Decimal(invoice["total_usd"])
    assert Decimal(budget["held_usd"]) == 0
    assert "research" in necto("budget", "list", "--home", home).out


def test_an_invoice_is_exported_as_the_same_bytes(copied_home: Path, tmp_path: Path, found: dict[str, Any]) -> None:
    written = {Path(path).name: Path(path).read_bytes() for path in found["invoice"]["files"].values()}
    for file in (copied_home / "invoices").rglob("NECTO-*"):
        file.unlink()
    said = necto("invoice", "export", found["invoice"]["number"], "--to", tmp_path / "out", "--home", copied_home)
    assert said.code == 0
    exported = [Path(line) for line in said.out.splitlines()]
    assert {path.parent for path in exported} == {tmp_path / "out"}
    assert {path.name: path.read_bytes() for path in exported} == written
    refused = necto("invoice", "export", found["invoice"]["number"], "--to", exported[0], "--home", copied_home)
    assert refused.code == 2
    assert "name a folder" in refused.err


def test_offers_and_comparison_are_listed_cheapest_first_and_filtered(home: Path, found: dict[str, Any]) -> None:
    offers = necto("offers", "--home", home, "--json").json["offers"]
    assert len(offers) == found["offers"]["count"]
    prices = [Decimal(offer["usd_per_gpu_hour"]) for offer in offers]
    assert prices == sorted(prices)
    assert {offer["mode"] for offer in offers} == {"sandbox"}
    h100 = necto("offers", "--gpu", "nvidia h100", "--country", "DE,US", "--home", home, "--json").json["offers"]
    assert h100
    assert {offer["gpu_family"] for offer in h100} == {"H100"}
    assert {offer["country"] for offer in h100} <= {"DE", "US"}
    assert "H100-80GB" in necto("offers", "--gpu", "H100", "--home", home).out
    compared = necto("compare", "--gpu", "H100", "--home", home, "--json").json["rows"]
    assert {row["cloud"] for row in compared} == {"aws", "azure", "gcp"}
    assert {row["gpu_key"].split("-")[0] for row in compared} == {"H100"}
    assert "H100-80GB" in necto("compare", "--home", home).out


def test_what_is_final_is_not_undone(copied_home: Path, found: dict[str, Any]) -> None:
    size = found["audit"]["size"]
    cancelled = necto("order", "cancel", found["orders"][0]["id"], "--home", copied_home)
    assert cancelled.code == 1
    assert "is completed and cannot become cancelled" in cancelled.err
    closed = necto("lease", "close", found["leases"][0]["id"], "--home", copied_home)
    assert closed.code == 0
    issued = necto("invoice", "issue", found["invoice"]["number"][6:10] + "-01", "--home", copied_home)
    assert issued.out.strip() == "nothing to invoice"
    assert necto("audit", "verify", "--home", copied_home, "--json").json["size"] == size
