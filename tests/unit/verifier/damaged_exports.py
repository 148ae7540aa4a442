"""Exports that are wrong in exactly one way: for every check of the verifier, one that nothing else finds.

Each function writes an export into a folder and returns what the auditor gives the verifier.
"""

import json
from base64 import b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from export_builder import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    SALT,
    START,
    Log,
    commitment,
    event,
    head,
    json_bytes,
    leaves,
    policy_of,
    put,
    tile_path,
    time_of,
)
from support.der_writer import tlv
from support.time_authority import issue, issue_for_time, response, token, tst_info

ROOT = issue("Test root", authority=True)
SIGNER = issue_for_time(ROOT)
AUTHORITIES = {"time_authorities": [{"name": "tsa", "certificates": ROOT.pem.decode()}]}


def flip(folder: Path, name: str, place: int = 0) -> None:
    """Change one byte of a file."""
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 1
    (folder / name).write_bytes(bytes(data))


def stamp(folder: Path, size: int, time: datetime, name: str = "tsa") -> str:
    """Put an authority's timestamp beside the checkpoint of this size; returns the digest of its file."""
    data = (folder / f"checkpoint.{size}").read_bytes()
    tsr = response(token(tst_info(data, time=tlv(0x18, time.strftime("%Y%m%d%H%M%SZ").encode())), SIGNER))
    put(folder, f"anchors/{size}.{name}.tsr", tsr)
    return sha256(tsr).hexdigest()


def run_log() -> Log:
    """One run of four leaves, closed."""
    log = Log()
    log.add(run="r1", kind="run.started", body={"planned": "freeze,route"})
    log.add(run="r1")
    log.add(run="r1")
    log.finish("r1")
    return log


def low_order_key(folder: Path) -> dict[str, Any]:
    """A key under which anybody can sign anything: the neutral point, whose signature is (neutral point, 0)."""
    log = Log(leaves(3))
    log.write(folder)
    key = b"\x01" + b"\x01" + bytes(31)
    key_id = sha256(ORIGIN.encode() + b"\n" + key).digest()[:4]
    text = log.checkpoint().partition("\n\n")[0] + "\n"
    signature = b64encode(key_id + b"\x01" + bytes(31) + bytes(32)).decode()
    line = f"— {ORIGIN} {signature}\n"
    for name in ("checkpoint", "checkpoint.3"):
        put(folder, name, f"{text}\n{line}")
    put(folder, "vkey", f"{ORIGIN}+{key_id.hex()}+{b64encode(key).decode()}\n")
    return {}


def key_not_listed(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder, policy=policy_of(KEY))
    put(folder, "vkey", OTHER_KEY.vkey)
    return {}


def signature_of_other_text(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.write(folder)
    text = log.checkpoint().partition("\n\n")[0] + "\n"
    for name in ("checkpoint", "checkpoint.3"):
        put(folder, name, f"{text}\n{KEY.line(text.replace('3', '4'))}")
    return {}


def stranger_signed(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.write(folder)
    for name in ("checkpoint", "checkpoint.3"):
        put(folder, name, log.checkpoint(3, OTHER_KEY))
    return {}


def retired_key_signed(folder: Path) -> dict[str, Any]:
    policy = policy_of(KEY, OTHER_KEY)
    policy["keys"][0]["until"] = 3
    Log(leaves(5), keys=(KEY, OTHER_KEY)).write(folder, policy=policy)
    for name in ("checkpoint", "checkpoint.5"):
        put(folder, name, Log(leaves(5)).checkpoint())
    return {}


def given_key_did_not_sign(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder, policy=policy_of(OTHER_KEY, KEY))
    return {"vkey": OTHER_KEY.vkey}


def other_origin(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.write(folder)
    for name in ("checkpoint", "checkpoint.3"):
        put(folder, name, head(3, log.root(), origin="other.test/audit"))
    return {}


def misnamed_checkpoint(folder: Path) -> dict[str, Any]:
    log = Log(leaves(5))
    log.write(folder)
    put(folder, "checkpoint.4", log.checkpoint(3))
    return {}


def tile_missing(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder)
    (folder / tile_path(0, 0, 3)).unlink()
    return {}


def bytes_after_entries(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder)
    with (folder / tile_path("entries", 0, 3)).open("ab") as file:
        file.write(b"\x00\x01x")
    return {}


def hash_in_tile(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder)
    flip(folder, tile_path(0, 0, 3), 32)
    return {}


def hash_in_upper_tile(folder: Path) -> dict[str, Any]:
    Log(leaves(600)).write(folder)
    flip(folder, tile_path(1, 0, 2), 40)
    return {}


def surplus_tile(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder)
    put(folder, tile_path(0, 1, 256), bytes(8192))
    return {}


def earlier_part_differs(folder: Path) -> dict[str, Any]:
    Log(leaves(5)).write(folder)
    put(folder, tile_path(0, 0, 2), bytes(64))
    return {}


def entry_and_tiles_changed(folder: Path) -> dict[str, Any]:
    log = Log(leaves(300))
    signed = log.checkpoint()
    log.entries[7] = log.entries[7].replace(b"3.125", b"9.125")
    log.write(folder)
    for name in ("checkpoint", "checkpoint.300"):
        put(folder, name, signed)
    return {}


def cut_off_but_later_head_left(folder: Path) -> dict[str, Any]:
    Log(leaves(5)).write(folder)
    later = Log(leaves(9)).checkpoint()
    put(folder, "checkpoint.9", later)
    return {}


def cut_off(folder: Path) -> dict[str, Any]:
    """An older genuine export, and the auditor remembers a later head."""
    Log(leaves(5)).write(folder)
    put(folder.with_name("kept"), "checkpoint.9", Log(leaves(9)).checkpoint())
    return {"saved": [folder.with_name("kept")]}


def rewritten_and_signed_anew(folder: Path) -> dict[str, Any]:
    before = Log(leaves(9))
    put(folder.with_name("kept"), "checkpoint.5", before.checkpoint(5))
    before.entries[2] = before.entries[2].replace(b"3.125", b"9.125")
    before.write(folder, [5])
    return {"saved": [folder.with_name("kept") / "checkpoint.5"]}


def proof_of_another_entry(folder: Path) -> dict[str, Any]:
    log = Log(leaves(9))
    log.write(folder)
    put(folder, "proof/4.tlog-proof", log.proof(5).replace("index 5", "index 4"))
    return {}


def proof_that_cannot_be_read(folder: Path) -> dict[str, Any]:
    Log(leaves(9)).write(folder)
    put(folder, "proof/4.tlog-proof", "c2sp.org/tlog-proof@v1\nindex four\n\n")
    return {}


def leaf_without_time(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.add(ts="yesterday")
    log.write(folder)
    return {}


def leaf_not_canonical(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.entries.append(json.dumps(event(3)).encode())
    log.write(folder)
    return {"thorough": True}


def bad_timestamp(folder: Path) -> dict[str, Any]:
    Log(leaves(3)).write(folder, policy=policy_of(KEY, **AUTHORITIES))
    stamp(folder, 3, START + timedelta(hours=1))
    flip(folder, "anchors/3.tsa.tsr", -1)
    return {}


def post_dated(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.add(ts="2026-11-23T10:00:00.000000Z")
    log.write(folder, policy=policy_of(KEY, **AUTHORITIES))
    stamp(folder, 4, START + timedelta(hours=1))
    return {}


def back_dated(folder: Path) -> dict[str, Any]:
    """An entry that has seen the checkpoint of the evening says it was written in the morning."""
    log = Log(leaves(3))
    log.add(after={"size": 3, "root": b64encode(log.root()).decode()})
    log.write(folder, [3], policy=policy_of(KEY, **AUTHORITIES))
    stamp(folder, 3, START + timedelta(hours=9))
    return {}


def back_dated_without_after(folder: Path) -> dict[str, Any]:
    """The same by an entry that keeps quiet about what it has seen, but stands behind the timestamp's digest."""
    log = Log(leaves(3))
    log.write(folder, [3])
    evening = START + timedelta(hours=9)
    digest = stamp(folder, 3, evening)
    log.add(
        kind="log.anchored", body={"kind": "rfc3161", "size": 3, "sha256": digest}, ts="2026-11-22T19:00:01.000000Z"
    )
    log.add(ts=time_of(4))
    log.write(folder, [3], policy=policy_of(KEY, **AUTHORITIES))
    return {}


def after_of_another_history(folder: Path) -> dict[str, Any]:
    log = Log(leaves(3))
    log.add(after={"size": 2, "root": b64encode(bytes(32)).decode()})
    log.write(folder, [2])
    return {}


def run_with_wrong_count(folder: Path) -> dict[str, Any]:
    log = run_log()
    log.entries.pop()
    log.finish("r1", count=7)
    log.write(folder)
    return {}


def run_with_an_entry_left_out(folder: Path) -> dict[str, Any]:
    """As many entries as counted, but not the same ones."""
    log = run_log()
    log.entries[2] = json_bytes(event(2, run="r1", body={"gpus": 1}))
    log.write(folder)
    return {}


def run_with_an_entry_after_its_end(folder: Path) -> dict[str, Any]:
    log = run_log()
    log.add(run="r1")
    log.write(folder)
    return {}


def committed_log() -> Log:
    log = Log(leaves(2))
    log.add(commit={"contact.email": commitment("contact.email", "a@b.example")}, subject={"subject": "subj_7"})
    return log


def opening_of_another_value(folder: Path) -> dict[str, Any]:
    committed_log().write(folder)
    opening = {"contact.email": {"salt": b64encode(SALT).decode(), "value": "c@d.example"}}
    put(folder, "openings/2.json", json.dumps(opening))
    return {}


def opening_of_nothing(folder: Path) -> dict[str, Any]:
    committed_log().write(folder)
    put(folder, "openings/77.json", "{}")
    return {}


CASES = [
    ("verification.check_keys", low_order_key, "key"),
    ("policy.check_key_listed", key_not_listed, "key"),
    ("heads.check_signature", signature_of_other_text, "checkpoint"),
    ("heads.check_signature", stranger_signed, "checkpoint"),
    ("heads.check_key_validity", retired_key_signed, "key"),
    ("heads.check_required_key", given_key_did_not_sign, "key"),
    ("heads.check_origin", other_origin, "origin"),
    ("heads.check_name", misnamed_checkpoint, "checkpoint"),
    ("bundles.check_present", tile_missing, "missing"),
    ("bundles.check_framing", bytes_after_entries, "index"),
    ("bundles.check_entry_hashes", hash_in_tile, "leaf_hash"),
    ("tree.check_tile", hash_in_upper_tile, "tile"),
    ("tree.check_no_surplus", surplus_tile, "surplus"),
    ("tree.check_earlier_part", earlier_part_differs, "tile"),
    ("history.check_roots", entry_and_tiles_changed, "root"),
    ("history.check_length", cut_off_but_later_head_left, "truncated"),
    ("history.check_saved_length", cut_off, "truncated"),
    ("history.check_saved_roots", rewritten_and_signed_anew, "fork"),
    ("proofs.check_proof", proof_of_another_entry, "proof"),
    ("proofs.check_proof_readable", proof_that_cannot_be_read, "proof"),
    ("bundles.check_leaf", leaf_without_time, "leaf"),
    ("bundles.check_canonical", leaf_not_canonical, "leaf"),
    ("times.check_anchor", bad_timestamp, "anchor"),
    ("times.check_not_after", post_dated, "time"),
    ("times.check_not_before", back_dated, "time"),
    ("times.check_not_before", back_dated_without_after, "time"),
    ("times.check_after", after_of_another_history, "after"),
    ("runs.check_manifest", run_with_wrong_count, "run"),
    ("runs.check_manifest", run_with_an_entry_left_out, "run"),
    ("runs.check_closed", run_with_an_entry_after_its_end, "run"),
    ("openings.check_opening", opening_of_another_value, "opening"),
    ("openings.check_opening_readable", opening_of_nothing, "opening"),
]
"""the check, the export that only it finds, and the kind of fault it then finds"""
