import tracemalloc
from dataclasses import replace

import pytest
from audit_log_builder import ORIGIN, SIGNER, hashes, leaves, signed, stored
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.checkpoint import Checkpoint, sign_checkpoint
from necto_pipelines.audit.merkle import EMPTY_ROOT, leaf_hash, root_of
from necto_pipelines.audit.note import Signer
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.verify import MAX_NAMED_ENTRIES, FaultKind, StoredLeaf, Verdict, verify_log

LOG = leaves(20)
OTHER_LOG = leaves(20, word="second")
NOTES = [signed(LOG, size) for size in (0, 5, 12, 20)]


def verdict_of(entries, notes=NOTES):
    return verify_log(iter(entries), notes, Policy.of(SIGNER.verifier, ORIGIN))


def kinds(verdict):
    return [fault.kind for fault in verdict.faults]


def edited(index, *, with_hash):
    """The log with entry `index` changed, and its stored hash left or made to fit."""
    entries = stored(LOG)
    leaf = LOG[index].replace(b"first", b"fifth")
    entries[index] = StoredLeaf(index, leaf, leaf_hash(leaf) if with_hash else entries[index].leaf_hash)
    return entries


def renumbered(entries):
    return [replace(entry, index=index) for index, entry in enumerate(entries)]


@pytest.mark.parametrize("notes", [NOTES, NOTES[::-1], NOTES * 2, NOTES[1:2]])
def test_an_untouched_log_is_clean_whatever_the_order_of_its_checkpoints(notes):
    verdict = verdict_of(stored(LOG), notes)
    assert verdict.ok
    assert verdict.faults == ()
    assert (verdict.size, verdict.root) == (20, root_of(hashes(LOG)))
    assert verdict.checkpoints == len(set(notes))
    assert verdict.covered == (5 if notes == NOTES[1:2] else 20)


def test_an_empty_log_is_clean_and_has_the_empty_root():
    verdict = verdict_of([], [NOTES[0]])
    assert (verdict.ok, verdict.size, verdict.root, verdict.covered) == (True, 0, EMPTY_ROOT, 0)


def test_entries_after_the_newest_checkpoint_are_not_covered_yet():
    verdict = verdict_of(stored(LOG), NOTES[:3])
    assert (verdict.ok, verdict.size, verdict.covered) == (True, 20, 12)


@pytest.mark.parametrize("index", range(20))
def test_edited_bytes_are_named_by_their_entry(index):
    verdict = verdict_of(edited(index, with_hash=False))
    assert not verdict.ok
    assert {FaultKind.LEAF_HASH, FaultKind.ROOT} == set(kinds(verdict))
    fault = next(fault for fault in verdict.faults if fault.kind == FaultKind.LEAF_HASH)
    assert fault.index == index
    assert f"entry {index} (id 'id-{index}', type 'order.moved')" in fault.what


def test_edited_bytes_are_named_though_no_checkpoint_was_kept():
    assert kinds(verdict_of(edited(7, with_hash=False), [])) == [FaultKind.LEAF_HASH]


def test_an_edited_hash_is_named_though_the_bytes_still_lead_to_the_signed_root():
    entries = stored(LOG)
    entries[7] = replace(entries[7], leaf_hash=leaf_hash(b"other"))
    verdict = verdict_of(entries)
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.LEAF_HASH, 7)]
    assert verdict.covered == 20


@pytest.mark.parametrize(("index", "low", "high"), [(0, 0, 4), (4, 0, 4), (5, 5, 11), (11, 5, 11), (12, 12, 19)])
def test_an_edit_with_a_fitting_hash_is_bounded_by_the_checkpoints_around_it(index, low, high):
    verdict = verdict_of(edited(index, with_hash=True))
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.ROOT, low)]
    assert f"at least one of the entries {low} to {high} was changed" in verdict.faults[0].what
    assert verdict.covered == low


@pytest.mark.parametrize("index", [0, 7, 11])
def test_a_deleted_entry_leaves_a_gap_and_a_short_log(index):
    entries = stored(LOG)
    del entries[index]
    verdict = verdict_of(entries)
    assert set(kinds(verdict)) == {FaultKind.INDEX, FaultKind.ROOT, FaultKind.TRUNCATED}
    fault = next(fault for fault in verdict.faults if fault.kind == FaultKind.INDEX)
    assert fault.index == index
    assert f"entry {index + 1} (id 'id-{index + 1}'" in fault.what


def test_a_gap_after_the_newest_checkpoint_is_named():
    entries = stored(LOG)
    del entries[15]
    verdict = verdict_of(entries, NOTES[:3])
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.INDEX, 15)]


def test_a_log_that_does_not_begin_at_zero_has_a_gap_there():
    verdict = verdict_of(stored(LOG)[3:], [])
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.INDEX, 0)]


def test_a_deleted_entry_hidden_by_new_numbers_is_found_by_the_roots():
    entries = stored(LOG)
    del entries[7]
    verdict = verdict_of(renumbered(entries))
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.ROOT, 5), (FaultKind.TRUNCATED, 19)]


def test_an_inserted_entry_hidden_by_new_numbers_is_found_by_the_roots():
    entries = stored(LOG)
    entries.insert(7, stored(OTHER_LOG)[7])
    verdict = verdict_of(renumbered(entries))
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.ROOT, 5)]


def test_entries_out_of_order_are_each_named():
    entries = stored(LOG)
    entries[7], entries[8] = entries[8], entries[7]
    verdict = verdict_of(entries, NOTES[:2])
    assert kinds(verdict) == [FaultKind.INDEX] * 3
    assert [fault.index for fault in verdict.faults] == [7, 7, 8]


def test_a_repeated_entry_is_named():
    entries = stored(LOG)
    entries.insert(8, entries[7])
    verdict = verdict_of(entries, NOTES[:2])
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.INDEX, 7)]
    assert "repeated" in verdict.faults[0].what


@pytest.mark.parametrize("kept", [0, 11, 19])
def test_a_log_cut_short_of_its_newest_checkpoint_is_truncated(kept):
    verdict = verdict_of(stored(LOG)[:kept])
    assert [(fault.kind, fault.index) for fault in verdict.faults] == [(FaultKind.TRUNCATED, kept)]
    assert f"the log holds {kept} entries, but a checkpoint signed 20" in verdict.faults[0].what


def test_a_log_cut_with_its_later_checkpoints_passes_unless_one_was_kept_elsewhere():
    assert verdict_of(stored(LOG)[:12], NOTES[:3]).ok
    assert kinds(verdict_of(stored(LOG)[:12], [*NOTES[:3], NOTES[3]])) == [FaultKind.TRUNCATED]


def test_a_rewritten_and_signed_history_passes_unless_an_old_checkpoint_was_kept_elsewhere():
    new_notes = [signed(OTHER_LOG, size) for size in (5, 12, 20)]
    assert verdict_of(stored(OTHER_LOG), new_notes).ok
    verdict = verdict_of(stored(OTHER_LOG), [*new_notes, NOTES[2]])
    assert kinds(verdict) == [FaultKind.FORK]
    assert "the checkpoint of size 12 signed the root" in verdict.faults[0].what


def test_two_signed_roots_of_one_size_are_a_fork():
    verdict = verdict_of(stored(LOG), [*NOTES, signed(OTHER_LOG, 20)])
    assert kinds(verdict) == [FaultKind.FORK]
    assert (verdict.checkpoints, verdict.covered) == (5, 20)


def test_each_checkpoint_of_another_history_is_named():
    verdict = verdict_of(stored(LOG), [*NOTES, signed(OTHER_LOG, 5), signed(OTHER_LOG, 12)])
    assert kinds(verdict) == [FaultKind.FORK, FaultKind.FORK]


def test_a_signed_empty_log_with_another_root_is_named():
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), SIGNER)
    assert kinds(verdict_of(stored(LOG), [*NOTES, note])) == [FaultKind.FORK]


@pytest.mark.parametrize(
    "note",
    [
        NOTES[2].replace("\n12\n", "\n13\n"),
        NOTES[2].split("\n\n")[0] + "\n",
        signed(LOG, 12, signer=Signer.from_private_bytes(ORIGIN, bytes(32))),
        signed(LOG, 12, signer=Signer.from_private_bytes("stranger.example", bytes(32))),
        "not a note",
        "",
    ],
)
def test_a_checkpoint_that_the_key_did_not_sign_is_named_and_does_not_count(note):
    verdict = verdict_of(stored(LOG), [*NOTES, note])
    assert kinds(verdict) == [FaultKind.CHECKPOINT]
    assert (verdict.checkpoints, verdict.covered) == (4, 20)


def test_a_checkpoint_of_another_log_is_named_and_does_not_count():
    verdict = verdict_of(stored(LOG), [*NOTES, signed(LOG, 12, origin="other.example/log")])
    assert kinds(verdict) == [FaultKind.ORIGIN]
    assert verdict.checkpoints == 4
    assert "other.example/log" in verdict.faults[0].what


def test_faults_of_every_kind_are_told_together_first_entry_first():
    entries = edited(3, with_hash=False)
    del entries[14]
    notes = [
        *NOTES,
        "not a note",
        signed(LOG, 12, origin="other.example/log"),
        signed(LOG, 20).replace("\n20\n", "\n9\n"),
    ]
    verdict = verdict_of(entries, notes)
    assert kinds(verdict) == [
        FaultKind.CHECKPOINT,
        FaultKind.ORIGIN,
        FaultKind.CHECKPOINT,
        FaultKind.ROOT,
        FaultKind.LEAF_HASH,
        FaultKind.INDEX,
        FaultKind.TRUNCATED,
    ]


@given(st.integers(0, 19), st.data())
def test_any_changed_bit_of_any_entry_is_found(index, data):
    entries = stored(LOG)
    leaf = bytearray(LOG[index])
    leaf[data.draw(st.integers(0, len(leaf) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    own_hash = leaf_hash(bytes(leaf)) if data.draw(st.booleans()) else entries[index].leaf_hash
    entries[index] = StoredLeaf(index, bytes(leaf), own_hash)
    verdict = verdict_of(entries)
    assert not verdict.ok
    assert verdict.covered <= index


def test_a_wholly_damaged_log_names_its_first_entries_and_counts_the_rest():
    entries = (StoredLeaf(index, b"damaged", bytes(32)) for index in range(MAX_NAMED_ENTRIES + 50))
    verdict = verdict_of(entries, [])
    assert len(verdict.faults) == MAX_NAMED_ENTRIES + 1
    assert verdict.faults[-1].kind == FaultKind.FURTHER
    assert verdict.faults[-1].what.startswith("50 more")


def test_exactly_as_many_faults_as_are_named_leave_nothing_to_count():
    entries = (StoredLeaf(index, b"damaged", bytes(32)) for index in range(MAX_NAMED_ENTRIES))
    assert FaultKind.FURTHER not in kinds(verdict_of(entries, []))


def test_memory_does_not_grow_with_the_log():
    def peak(size):
        tracemalloc.start()
        verdict_of((StoredLeaf(index, leaf := b"%d" % index, leaf_hash(leaf)) for index in range(size)), [])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < peak(1_000) + 20_000


def test_a_verdict_cannot_contradict_its_faults():
    clean = verdict_of(stored(LOG))
    broken = verdict_of(stored(LOG)[:3])
    with pytest.raises(ValueError, match="ok"):
        replace(clean, ok=False)
    with pytest.raises(ValueError, match="ok"):
        replace(broken, ok=True)
    assert isinstance(replace(clean, ok=False, faults=broken.faults), Verdict)
