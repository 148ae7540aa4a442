"""The stand-alone verifier on whole exports, written by a builder that shares nothing with it or with Necto."""

import json
from base64 import b64encode
from datetime import timedelta

import pytest
from damaged_exports import AUTHORITIES, ROOT, committed_log, run_log, stamp
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
    tiles,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from necto_verify import Assurance, InputUnusable, reading, verify

MANY = leaves(2_000)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 513])
def test_exports_of_every_shape_are_accepted(tmp_path, size):
    log = Log(MANY[:size])
    log.write(tmp_path, {size // 2, size // 3, max(0, size - 1)})
    for index in range(0, size, 61):
        put(tmp_path, f"proof/{index}.tlog-proof", log.proof(index))
    verdict = verify(tmp_path, vkey=KEY.vkey, saved=[tmp_path / f"checkpoint.{size}"])
    assert verdict.faults == ()
    assert (verdict.size, verdict.root, verdict.proofs) == (size, log.root(), len(range(0, size, 61)))
    assert verdict.assurance == (Assurance.CONSISTENT_WITH if size else Assurance.SELF_CONSISTENT)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 70_000])
def test_exports_beyond_the_second_level_are_accepted(tmp_path, size):
    entries = [b'{"ts":"2026-11-22T10:00:00.000000Z","type":"a","v":1}'] * size
    log = Log(entries)
    for name, data in tiles(entries).items():
        put(tmp_path, name, data)
    put(tmp_path, "checkpoint", log.checkpoint())
    put(tmp_path, "vkey", KEY.vkey)
    assert verify(tmp_path).faults == ()


def test_other_processes_read_a_large_log_just_so(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "WORTH_IT", 2)
    monkeypatch.setattr(reading, "CHUNK", 1)
    log = Log(list(MANY))
    log.write(tmp_path, [700])
    flipped = tmp_path / tile_path("entries", 5, 256)
    flipped.write_bytes(flipped.read_bytes().replace(b"3.125", b"3.126", 1))
    alone, together = verify(tmp_path), verify(tmp_path, workers=2)
    assert alone.as_json() == together.as_json()
    assert [fault.index for fault in together.faults] == [1280, 700]


class TestTampering:
    """audit.md E.6, row by row: what an export alone shows, what a kept checkpoint adds, and a timestamp."""

    @pytest.fixture
    def log(self):
        return Log(MANY[:600])

    @pytest.fixture
    def kept(self, log, tmp_path):
        put(tmp_path, "kept/checkpoint.500", log.checkpoint(500))
        return [tmp_path / "kept"]

    def found(self, folder, **given):
        return [(fault.kind, fault.index) for fault in verify(folder, **given).faults]

    def signed_before(self, log, folder, change):
        """The export after a change, under the checkpoints of before."""
        notes = {name: log.checkpoint(size) for name, size in [("checkpoint", 600), ("checkpoint.600", 600)]}
        change(log.entries)
        log.write(folder)
        for name, text in notes.items():
            put(folder, name, text)

    def test_an_edited_entry_is_named(self, log, tmp_path):
        folder = log.write(tmp_path / "export", [300])
        file = folder / tile_path("entries", 1, 256)
        file.write_bytes(file.read_bytes().replace(b"ord_301", b"ord_901"))
        assert self.found(folder) == [("leaf_hash", 301), ("root", 300)]

    def test_an_edited_entry_and_all_tiles(self, log, tmp_path, kept):
        self.signed_before(log, tmp_path / "export", lambda entries: entries.__setitem__(301, entries[0]))
        assert self.found(tmp_path / "export") == [("root", 0)]
        assert self.found(tmp_path / "export", saved=kept) == [("root", 0), ("root", 0)]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda entries: entries.append(entries.pop(7)), id="moved"),
            pytest.param(lambda entries: entries.insert(7, entries.pop()), id="inserted"),
            pytest.param(lambda entries: entries.__setitem__(7, entries[8]), id="repeated"),
        ],
    )
    def test_reordered_entries_and_all_tiles(self, log, tmp_path, change):
        self.signed_before(log, tmp_path / "export", change)
        assert self.found(tmp_path / "export") == [("root", 0)]

    def test_a_deleted_entry_in_its_bundle(self, log, tmp_path):
        folder = log.write(tmp_path / "export")
        data = tiles(log.entries[:7] + log.entries[8:256])[tile_path("entries", 0, 255)]
        put(folder, tile_path("entries", 0, 256), data)
        found = self.found(folder)
        assert found[0] == ("leaf_hash", 7)
        assert ("index", 255) in found

    @pytest.mark.parametrize("missing", [tile_path("entries", 0, 256), tile_path(0, 0, 256), tile_path(1, 0, 2)])
    def test_a_missing_file(self, log, tmp_path, missing):
        folder = log.write(tmp_path / "export")
        (folder / missing).unlink()
        assert self.found(folder) == [("missing", 0)]

    def test_an_edited_checkpoint(self, log, tmp_path):
        folder = log.write(tmp_path / "export")
        put(folder, "checkpoint", log.checkpoint().replace("\n600\n", "\n599\n"))
        assert ("checkpoint", None) in self.found(folder)

    @pytest.mark.parametrize("signer", [None, OTHER_KEY])
    def test_a_checkpoint_without_its_signature(self, log, tmp_path, signer):
        folder = log.write(tmp_path / "export")
        text = log.checkpoint().partition("\n\n")[0] + "\n\n"
        put(folder, "checkpoint", text + (signer.line(text[:-1]) if signer else ""))
        assert self.found(folder) == [("checkpoint", None)]

    def test_cut_back_to_an_older_genuine_checkpoint(self, log, tmp_path, kept):
        folder = Log(log.entries[:300]).write(tmp_path / "export", [256])
        assert self.found(folder) == []
        assert self.found(folder, saved=kept) == [("truncated", 300)]

    def test_rewritten_and_signed_anew(self, log, tmp_path, kept):
        log.entries[7] = log.entries[8]
        folder = log.write(tmp_path / "export", [500])
        assert self.found(folder) == []
        assert self.found(folder, saved=kept) == [("fork", None)]

    def test_rewritten_under_a_timestamp_of_before(self, log, tmp_path):
        policy = policy_of(KEY, **AUTHORITIES)
        stamp(log.write(tmp_path / "export", [500], policy), 500, START + timedelta(hours=1))
        assert self.found(tmp_path / "export") == []
        log.entries[7] = log.entries[8]
        log.write(tmp_path / "export", [500])
        assert self.found(tmp_path / "export") == [("anchor", None)]

    def test_a_back_dated_entry(self, log, tmp_path, kept):
        log.add(after={"size": 500, "root": b64encode(log.root(500)).decode()}, ts="2026-11-22T10:00:00.000000Z")
        folder = log.write(tmp_path / "export", [500], policy_of(KEY, **AUTHORITIES))
        assert self.found(folder, saved=kept) == []
        stamp(folder, 500, START + timedelta(hours=1))
        assert self.found(folder) == [("time", 600)]

    def test_a_tail_lost_before_it_was_signed_shows_in_manifests_only(self, tmp_path):
        log = run_log()
        log.entries.pop()
        verdict = verify(log.write(tmp_path))
        assert verdict.ok
        assert verdict.runs.unfinished_runs == ("r1",)
        assert not verdict.reaches(Assurance.COMPLETE)


class TestAssurance:
    @pytest.fixture
    def folder(self, tmp_path):
        log = run_log()
        folder = log.write(tmp_path / "export", [2], policy_of(KEY, **AUTHORITIES))
        stamp(folder, 4, START + timedelta(minutes=1))
        return folder

    def test_each_level_needs_the_ones_before(self, folder):
        verdict = verify(folder)
        assert [(level.name, level.holds) for level in verdict.levels] == [
            ("self-consistent", True),
            ("consistent-with", False),
            ("time-bounded", True),
            ("complete", True),
        ]
        assert verdict.assurance == Assurance.SELF_CONSISTENT
        assert "rewrite the log and sign it anew" in verdict.not_proved[0]

    def test_the_highest_level(self, folder):
        verdict = verify(folder, saved=[folder / "checkpoint.2"])
        assert verdict.assurance == Assurance.COMPLETE
        assert verdict.saved_sizes == (2,)
        assert [anchor.time for anchor in verdict.anchors] == [START + timedelta(minutes=1)]

    def test_an_empty_checkpoint_kept_elsewhere_says_nothing(self, folder):
        put(folder.parent, "empty", head(0, Log().root()))
        assert verify(folder, saved=[folder.parent / "empty"]).assurance == Assurance.SELF_CONSISTENT

    def test_authorities_of_the_auditor_replace_those_of_the_export(self, folder):
        verdict = verify(folder, policy=json.dumps(policy_of(KEY)).encode())
        assert (verdict.anchors, verdict.anchors_unjudged) == ((), ("4.tsa",))
        named = verify(folder, policy=json.dumps(policy_of(KEY, **AUTHORITIES)).encode())
        assert "the auditor" in named.levels[2].rests_on
        assert "the export itself" in verify(folder).levels[2].rests_on

    def test_a_certificate_of_the_export_is_never_believed(self, folder):
        put(folder, "policy.json", json.dumps(policy_of(KEY)))
        put(folder, "anchors/tsa.pem", ROOT.pem)
        assert verify(folder).anchors == ()

    def test_unfinished_runs_are_listed_and_no_fault(self, tmp_path):
        log = run_log()
        log.add(run="r2", kind="run.started", body={"planned": "x"})
        verdict = verify(log.write(tmp_path))
        assert verdict.ok
        assert (verdict.runs.agreed, verdict.runs.unfinished_runs) == (1, ("r2",))

    def test_runs_of_leaves_of_version_1_need_no_manifest(self, tmp_path):
        log = Log([json_bytes(event(index, run="old", v=1)) for index in range(3)])
        log.entries += [json_bytes(event(3, run="old", kind="run.finished", v=1, body={"orders": 2}))]
        verdict = verify(log.write(tmp_path))
        assert verdict.ok
        assert verdict.runs.unfinished == 0

    def test_runs_may_interleave_and_cross_bundles(self, tmp_path):
        log = Log()
        for run in ("r1", "r2"):
            log.add(run=run, kind="run.started", body={"planned": "x"})
        for number in range(600):
            log.add(run=f"r{number % 2 + 1}") if number % 3 else log.add()
        log.finish("r2")
        log.add(run="r1")
        log.finish("r1")
        verdict = verify(log.write(tmp_path))
        assert verdict.ok
        assert verdict.runs.agreed == 2


class TestKeys:
    def test_both_keys_sign_where_one_takes_over(self, tmp_path):
        policy = policy_of(KEY, OTHER_KEY)
        policy["keys"][0]["until"], policy["keys"][1]["from"] = 6, 5
        log = Log(leaves(9), keys=(OTHER_KEY,))
        log.write(tmp_path, policy=policy)
        put(tmp_path, "checkpoint.3", log.checkpoint(3, KEY))
        put(tmp_path, "checkpoint.5", log.checkpoint(5, KEY, OTHER_KEY))
        assert verify(tmp_path).ok
        assert verify(tmp_path, vkey=OTHER_KEY.vkey).ok
        assert [fault.kind for fault in verify(tmp_path, vkey=KEY.vkey).faults] == ["key", "key"]

    def test_unknown_signatures_are_passed_over(self, tmp_path):
        log = Log(leaves(3))
        log.write(tmp_path)
        put(tmp_path, "checkpoint", log.checkpoint(3, OTHER_KEY, KEY) + "— witness AAAAAAAA\n")
        assert verify(tmp_path).ok

    def test_what_the_export_says_of_itself_is_said(self, tmp_path):
        Log(leaves(3)).write(tmp_path)
        assert "whose log this is: the key came with the export" in verify(tmp_path).not_proved
        assert "whose log this is: the key came with the export" not in verify(tmp_path, vkey=KEY.vkey).not_proved

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ({"vkey": "nonsense"}, "name\\+hash\\+key"),
            ({"vkey": KEY.vkey.replace("+", "+0", 1)}, "its own is"),
            ({"policy": b"{"}, "not JSON"),
            ({"policy": b"[]"}, "not a JSON object"),
            ({"policy": b'{"origin": "a", "keys": []}'}, "at least one"),
            ({"policy": json.dumps(policy_of(KEY, KEY)).encode()}, "stands twice"),
            ({"policy": json.dumps(policy_of(KEY)).encode(), "vkey": OTHER_KEY.vkey}, "does not stand in the policy"),
        ],
    )
    def test_what_the_auditor_gave_must_be_usable(self, tmp_path, given, why):
        Log(leaves(3)).write(tmp_path)
        with pytest.raises(InputUnusable, match=why):
            verify(tmp_path, **given)

    def test_an_export_without_any_key_needs_one(self, tmp_path):
        Log(leaves(3)).write(tmp_path)
        (tmp_path / "vkey").unlink()
        with pytest.raises(InputUnusable, match="--vkey"):
            verify(tmp_path)
        assert verify(tmp_path, vkey=KEY.vkey).ok


class TestOpenings:
    def states(self, folder):
        return [(item.index, item.label, item.state, item.erased_by) for item in verify(folder).fields]

    def test_withheld_until_disclosed(self, tmp_path):
        committed_log().write(tmp_path)
        assert self.states(tmp_path) == [(2, "contact.email", "withheld", None)]
        opening = {"contact.email": {"salt": b64encode(SALT).decode(), "value": "a@b.example"}}
        put(tmp_path, "openings/2.json", json.dumps(opening))
        assert self.states(tmp_path) == [(2, "contact.email", "disclosed", None)]

    @pytest.mark.parametrize(
        ("erasure", "erased"),
        [
            ({"subject": {"subject": "subj_7"}, "body": {"leaves": 1, "labels": "contact.email"}}, True),
            ({"subject": {"subject": "other"}, "body": {"entries": [2], "labels": "contact.email,x"}}, True),
            ({"subject": {"subject": "other"}, "body": {"leaves": 1, "labels": "contact.email"}}, False),
            ({"subject": {"subject": "subj_7"}, "body": {"leaves": 1, "labels": "address"}}, False),
        ],
    )
    def test_erased_by_a_later_entry(self, tmp_path, erasure, erased):
        log = committed_log()
        log.add(kind="privacy.erased", **erasure)
        log.write(tmp_path)
        assert self.states(tmp_path) == [
            (2, "contact.email", "erased", 3) if erased else (2, "contact.email", "withheld", None)
        ]

    def test_a_value_that_was_never_committed_to(self, tmp_path):
        committed_log().write(tmp_path)
        put(tmp_path, "openings/1.json", json.dumps({"name": {"salt": b64encode(SALT).decode(), "value": "x"}}))
        verdict = verify(tmp_path)
        assert [(fault.kind, fault.index) for fault in verdict.faults] == [("opening", 1)]
        assert commitment("a", "b") != commitment("b", "a")


def test_earlier_partial_tiles_may_stay(tmp_path):
    for size in (3, 250, 258, 600):
        Log(MANY[:size]).write(tmp_path)
    assert verify(tmp_path).faults == ()


def test_leaves_that_look_unlike_most_are_read_in_full(tmp_path):
    log = Log()
    log.entries += [
        json.dumps(event(0, run="r1"), indent=1).encode(),
        json_bytes(event(1, run="r1", subject={"note": 'a "quoted" {brace}'})),
        json_bytes(event(2, run="r1", ts="2026-11-22T11:00:00+01:00")),
        json_bytes(event(3, body={"run": {"dagster_run_id": "inner"}})),
        json_bytes(event(4, run="größe")),
    ]
    log.write(tmp_path)
    verdict = verify(tmp_path)
    assert verdict.ok
    assert sorted(verdict.runs.unfinished_runs) == ["größe", "r1"]


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"ts":"2026-13-22T10:00:00.000000Z","type":"a","v":2}',
        b'{"ts":"2026-02-30T10:00:00.000000Z","type":"a","v":2}',
        b'{"ts":"abcdefghijklmnopqrstuvwxyz1","type":"a","v":2}',
        b'{"ts":"2026-11-22T10:00:00.000000Z","type":"a"}',
        b'{"ts":"2026-11-22T10:00:00.000000Z","v":2}',
        b'{"run":{"dagster_run_id":7},"ts":"2026-11-22T10:00:00.000000Z","type":"a","v":2}',
        b"[" * 60_000,
    ],
)
def test_an_entry_that_is_no_leaf_is_named(tmp_path, entry):
    Log([*leaves(3), entry]).write(tmp_path)
    assert [(fault.kind, fault.index) for fault in verify(tmp_path).faults] == [("leaf", 3)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """An export with something of everything."""
    folder = tmp_path_factory.mktemp("sound")
    log = committed_log()
    first = b64encode(log.root(3)).decode()
    for number in range(270):
        log.add(run=f"r{number // 90}", after={"size": 3, "root": first})
    log.write(folder, [3], policy_of(KEY))
    put(folder, "proof/5.tlog-proof", log.proof(5))
    put(
        folder,
        "openings/2.json",
        json.dumps({"contact.email": {"salt": b64encode(SALT).decode(), "value": "a@b.example"}}),
    )
    assert verify(folder, vkey=KEY.vkey).ok
    return folder


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_of_any_kind_is_found_and_raises_nothing(sound, data):
    path = data.draw(st.sampled_from(sorted(path for path in sound.rglob("*") if path.is_file())))
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    flipped = bytes([before[place] ^ 1])
    path.write_bytes(
        data.draw(
            st.sampled_from(
                [
                    before[:place],
                    before[place + 1 :],
                    before[:place] + flipped + before[place + 1 :],
                    before[:place] + b"\xff\x00\n" + before[place:],
                ]
            )
        )
    )
    try:
        verdict = verify(sound, vkey=KEY.vkey)
        harmless = path.name in {"policy.json", "vkey"} and verdict.origin == ORIGIN
        assert harmless or not verdict.ok
        json.dumps(verdict.as_json())
    finally:
        path.write_bytes(before)


def test_a_leaf_that_only_looks_like_one_at_its_end_is_found_by_reading_it_whole(tmp_path):
    """Leaves are parsed where a look at their last members does not do; `thorough` parses every one."""
    ending = b'"run":{"dagster_run_id":"r1"},"ts":"2026-11-22T10:00:00.000000Z","type":"run.finished","v":2}'
    Log([*leaves(2), b"no JSON " + ending]).write(tmp_path)
    assert [(fault.kind, fault.index) for fault in verify(tmp_path).faults] == [("run", 2)]
    assert [fault.kind for fault in verify(tmp_path, thorough=True).faults] == ["leaf", "run"]
