"""`necto audit`: what it verifies, proves and exports, in text and JSON, and its exit codes."""

import json
import shutil
from base64 import b64decode
from pathlib import Path

import necto_verify
import pytest
from support.necto_command import necto

from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.proof import verify_tlog_proof
from necto_pipelines.books.books import Books
from necto_pipelines.cli.output import opened_books


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "export"


def test_verify_says_how_far_the_log_can_be_relied_on(home: Path, books_of_home: Books, tmp_path: Path):
    books_of_home.sign()
    said = necto("audit", "verify", "--home", home)
    assert said.code == 0
    assert "assurance self-consistent" in said.out
    kept = tmp_path / "kept"
    shutil.copy(max((home / "audit" / "checkpoints").iterdir()), kept)
    size = books_of_home.audit_size()
    said = necto("audit", "verify", "--home", home, "--checkpoint", kept, "--json")
    assert said.code == 0
    assert said.json | {"root": ""} == {
        "ok": True,
        "assurance": "consistent-with",
        "size": size,
        "root": "",
        "covered": size,
        "checkpoints": len(list((home / "audit" / "checkpoints").iterdir())),
        "saved_sizes": [size],
        "incidents": 0,
        "faults": [],
    }
    assert f"of sizes {size}" in necto("audit", "verify", "--home", home, "--checkpoint", kept).out


def test_verify_names_what_contradicts_a_checkpoint_kept_elsewhere(home: Path, books_of_home: Books, tmp_path: Path):
    note = books_of_home.sign() or next((home / "audit" / "checkpoints").iterdir()).read_text()
    (tmp_path / "kept").write_text(note.replace("\n", "\n9", 1))
    said = necto("audit", "verify", "--home", home, "--checkpoint", tmp_path / "kept", "--json")
    assert said.code == 1
    assert (said.json["ok"], said.json["assurance"]) == (False, None)
    assert [fault["kind"] for fault in said.json["faults"]] == ["checkpoint"]
    assert necto("audit", "verify", "--home", home, "--checkpoint", tmp_path / "none").code == 2


def test_a_refusal_to_sign_is_listed_and_told_of_by_verify(home: Path, books_of_home: Books):
    assert necto("audit", "incidents", "--home", home).code == 0
    (home / "audit" / "checkpoints" / "checkpoint.99").write_text("not ours")
    assert necto("audit", "prove", "0", "--home", home).code == 1
    said = necto("audit", "incidents", "--home", home, "--json")
    assert said.code == 1
    assert [incident["kind"] for incident in said.json] == ["key"]
    assert "key" in necto("audit", "incidents", "--home", home).out
    assert "1 open incidents" in necto("audit", "verify", "--home", home).out


def test_an_entry_is_proved_by_its_index_and_by_its_id(home: Path, books_of_home: Books):
    said = necto("audit", "prove", "0", "--home", home)
    leaf = b64decode(said.json["leaf"])
    by_id = necto("audit", "prove", json.loads(leaf)["id"], "--home", home)
    assert (said.code, by_id.json) == (0, said.json)
    proof = necto("audit", "prove", "0", "--home", home, "--tlog-proof").out
    assert verify_tlog_proof(proof, leaf, Verifier.from_vkey(books_of_home.vkey)).index == 0


@pytest.mark.parametrize("entry", ["-1", "99", "0193510e-7c00-7000-8000-000000000000", "", "1.5"])
def test_an_entry_that_is_not_there_is_an_input_error(home: Path, entry: str):
    said = necto("audit", "prove", entry, "--home", home)
    assert said.code == 2
    assert said.complaints


def test_export_writes_what_the_stand_alone_verifier_accepts(home: Path, books_of_home: Books, out: Path):
    said = necto("audit", "export", out, "--home", home)
    assert said.code == 0
    assert "with proofs of each entry" in said.out.replace("\n", " ")
    assert necto_verify.verify(out, saved=[home / "audit" / "checkpoints"]).faults == ()
    again = necto("audit", "export", out, "--home", home, "--proofs", "1", "--json")
    size = books_of_home.audit_size()
    assert again.json == {"folder": str(out), "size": size, "proofs": 1, "first_proof": size - 1, "written": 0}


@pytest.mark.parametrize("proofs", ["some", "-1", "1.5", ""])
def test_export_refuses_other_words_about_proofs(home: Path, out: Path, proofs: str):
    said = necto("audit", "export", out, "--home", home, f"--proofs={proofs}")
    assert said.code == 2
    assert "all, none" in said.err
    assert not out.exists()


def test_export_into_a_file_is_an_input_error(home: Path, out: Path):
    out.write_text("")
    assert necto("audit", "export", out, "--home", home).code == 2


def test_rotate_key_says_both_keys(home: Path, books_of_home: Books):
    old = books_of_home.vkey
    said = necto("audit", "rotate-key", "--home", home, "--json")
    assert (said.code, said.json["old"]) == (0, old)
    assert books_of_home.vkey == said.json["new"] != old
    assert books_of_home.verify().ok
    assert "docs/operations/keys.md" in necto("audit", "rotate-key", "--home", home).out


def test_a_command_that_changes_something_signs_it(home: Path, books_of_home: Books):
    before = books_of_home.audit_size()
    assert necto("budget", "set", "training", "50", "--home", home).code == 0
    assert books_of_home.verify().covered == books_of_home.audit_size() > before


def test_an_incident_stays_open_until_somebody_says_what_it_was(home: Path, books_of_home: Books):
    (home / "audit" / "checkpoints" / "checkpoint.99").write_text("not ours")
    assert necto("audit", "export", home / "export", "--home", home).code == 1
    (home / "audit" / "checkpoints" / "checkpoint.99").unlink()
    ((incident,),) = [necto("audit", "incidents", "--home", home, "--json").json]
    assert incident["open"] is True
    for words in (("resolve", "another", "--what", "x"), ("resolve", incident["id"], "--what", "")):
        assert necto("audit", *words, "--home", home).code == 2
    assert necto("audit", "resolve", incident["id"], "--what", "a stray file", "--home", home).code == 0
    assert necto("audit", "incidents", "--home", home).code == 0
    assert "open" not in necto("audit", "verify", "--home", home).out
    told = [json.loads(leaf) for _, leaf in books_of_home.leaf_of("incident", incident["id"])]
    assert sorted(event["type"] for event in told) == ["incident.raised", "incident.resolved"]


def test_a_new_log_says_where_the_old_one_ended(home: Path, books_of_home: Books, tmp_path: Path, monkeypatch):
    books_of_home.sign()
    last = home / "audit" / "checkpoints" / f"checkpoint.{books_of_home.audit_size()}"
    refused = necto("audit", "continue", last, "--home", tmp_path / "new")
    assert (refused.code, "NECTO_LOG_ORIGIN" in refused.err) == (2, True)
    monkeypatch.setenv("NECTO_LOG_ORIGIN", "necto.local/audit-2")
    assert necto("audit", "continue", last, "--home", tmp_path / "new").code == 0
    assert necto("audit", "continue", last, "--home", tmp_path / "new").code == 2
    with opened_books(tmp_path / "new") as books:
        bodies = [json.loads(entry.leaf)["body"] for entry in books.leaves()]
        assert books.verify().ok
    said = {"origin": books_of_home.origin, "size": books_of_home.audit_size()}
    assert said.items() <= bodies[-1].items()
    (tmp_path / "nothing").write_text("no checkpoint")
    assert necto("audit", "continue", tmp_path / "nothing", "--home", tmp_path / "newer").code == 2
