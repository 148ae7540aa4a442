"""Form of a portable proof: C2SP tlog-proof v1, and the inclusion proof of a Sigstore bundle in JSON."""

import json
from base64 import b64decode, b64encode

import pytest
from audit_log_builder import ORIGIN, SIGNER, hashes, leaves, signed
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.merkle import ProofRefused, inclusion_proof, root_of
from necto_pipelines.audit.note import NoteRefused, Signer
from necto_pipelines.audit.proof import rekor_json, tlog_proof, verify_tlog_proof

LOG = leaves(11)
HASHES = hashes(LOG)
NOTE = signed(LOG, 11)


def proof_of(index: int, size: int = 11, extra: bytes | None = None) -> str:
    return tlog_proof(index, inclusion_proof(HASHES[:size], index), signed(LOG, size), extra)


PROOF = proof_of(5)


@pytest.mark.parametrize("size", range(1, 12))
def test_every_entry_proves_at_every_size(size):
    for index in range(size):
        proved = verify_tlog_proof(proof_of(index, size), LOG[index], SIGNER.verifier)
        assert (proved.index, proved.checkpoint.size, proved.extra) == (index, size, None)


def test_a_proof_is_the_lines_of_the_format():
    path = [b64encode(digest).decode() for digest in inclusion_proof(HASHES, 5)]
    assert "\n".join(["c2sp.org/tlog-proof@v1", "index 5", *path, "", NOTE]) == PROOF


def test_extra_data_travels_with_the_proof():
    text = proof_of(5, extra=b"salt and value")
    assert text.split("\n")[1] == "extra " + b64encode(b"salt and value").decode()
    assert verify_tlog_proof(text, LOG[5], SIGNER.verifier).extra == b"salt and value"
    assert proof_of(5, extra=b"") == PROOF


@given(st.data())
def test_any_changed_character_of_a_proof_refuses_it(data):
    place = data.draw(st.integers(0, len(PROOF) - 1))
    character = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda one: one != PROOF[place]))
    with pytest.raises((ProofRefused, NoteRefused)):
        verify_tlog_proof(PROOF[:place] + character + PROOF[place + 1 :], LOG[5], SIGNER.verifier)


@given(st.integers(0, len(LOG[5]) - 1), st.integers(0, 7))
def test_any_changed_bit_of_the_leaf_refuses_it(place, bit):
    leaf = bytearray(LOG[5])
    leaf[place] ^= 1 << bit
    with pytest.raises(ProofRefused, match="the path leads to"):
        verify_tlog_proof(PROOF, bytes(leaf), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTE,
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("@v1\n", "@v1\n\n"),
        PROOF.replace("\n", "\r\n"),
        PROOF.replace("index 5\n", ""),
        PROOF.replace("index 5", "index 05"),
        PROOF.replace("index 5", "index -5"),
        PROOF.replace("index 5", "index five"),
        PROOF.replace("index 5", "index 5 "),
        PROOF.replace("index 5", "Index 5"),
        PROOF.replace("index 5", "index 5\nextra AAAA"),
        PROOF.replace("index 5", "extra !!\nindex 5"),
        PROOF.replace("index 5", "extra AAAA\nextra AAAA\nindex 5"),
        PROOF.replace("index 5", "index 5\nindex 5"),
        PROOF.replace("index 5", "index 5\nAAAA"),
        PROOF.replace("index 5", "index 5\n" + b64encode(bytes(32)).decode()),
        PROOF.replace("index 5", "index 4"),
        PROOF.replace("index 5", "index 11"),
        PROOF.split("\n\n")[0],
    ],
)
def test_another_form_of_a_proof_is_refused(text):
    with pytest.raises(ProofRefused):
        verify_tlog_proof(text, LOG[5], SIGNER.verifier)


def test_a_proof_under_another_key_is_refused():
    stranger = Signer.from_private_bytes(ORIGIN, bytes(32))
    text = tlog_proof(5, inclusion_proof(HASHES, 5), signed(LOG, 11, signer=stranger))
    with pytest.raises(NoteRefused, match="not signed by a known key"):
        verify_tlog_proof(text, LOG[5], SIGNER.verifier)


def test_a_proof_from_another_log_of_the_same_key_is_refused():
    text = tlog_proof(5, inclusion_proof(HASHES, 5), signed(LOG, 11, origin="other.example/log"))
    with pytest.raises(NoteRefused, match="of the log"):
        verify_tlog_proof(text, LOG[5], SIGNER.verifier)
    assert verify_tlog_proof(text, LOG[5], SIGNER.verifier, origin="other.example/log").index == 5


def test_a_proof_to_a_smaller_checkpoint_is_refused():
    text = tlog_proof(5, inclusion_proof(HASHES, 5), signed(LOG, 10))
    with pytest.raises(ProofRefused):
        verify_tlog_proof(text, LOG[5], SIGNER.verifier)


def test_the_json_form_says_the_same_under_rekors_names():
    path = inclusion_proof(HASHES, 5)
    proof = json.loads(json.dumps(rekor_json(5, LOG[5], path, NOTE, SIGNER.verifier)))
    assert set(proof) == {"logIndex", "treeSize", "rootHash", "hashes", "checkpoint", "leaf"}
    assert (proof["logIndex"], proof["treeSize"]) == ("5", "11")
    assert b64decode(proof["rootHash"]) == root_of(HASHES)
    assert b64decode(proof["leaf"]) == LOG[5]
    text = tlog_proof(
        int(proof["logIndex"]), [b64decode(one) for one in proof["hashes"]], proof["checkpoint"]["envelope"]
    )
    assert text == PROOF


@pytest.mark.parametrize(
    ("index", "leaf", "note"),
    [(4, LOG[5], NOTE), (5, LOG[4], NOTE), (5, LOG[5], signed(LOG, 10)), (5, LOG[5], NOTE.replace("11", "12"))],
)
def test_a_json_proof_that_does_not_prove_is_not_handed_out(index, leaf, note):
    with pytest.raises((ProofRefused, NoteRefused)):
        rekor_json(index, leaf, inclusion_proof(HASHES, 5), note, SIGNER.verifier)
