"""Form of a checkpoint: C2SP tlog-checkpoint v1. The example text is the one in its document."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, sign_checkpoint
from necto_pipelines.audit.merkle import EMPTY_ROOT
from necto_pipelines.audit.note import NoteRefused, Signer, sign_note

ORIGIN = "necto.example/log"
SIGNER = Signer.from_private_bytes(ORIGIN, bytes(range(32)))
ROOT = b64encode(bytes(32)).decode()
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ORIGINS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)


def test_the_example_of_the_format_reads_and_writes():
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text() == EXAMPLE


@given(ORIGINS, st.integers(0, MAX_SIZE), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_opens_as_it_was_signed(origin, size, root):
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
    assert open_checkpoint(sign_checkpoint(checkpoint, SIGNER), SIGNER.verifier, origin=origin) == checkpoint


def test_the_head_of_an_empty_log_can_be_signed():
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), SIGNER)
    assert note.startswith(f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— {ORIGIN} ")
    assert open_checkpoint(note, SIGNER.verifier).size == 0


def test_extension_lines_are_passed_over_and_stay_under_the_signature():
    note = sign_note(f"{ORIGIN}\n7\n{ROOT}\nextension one\nextension two\n", [SIGNER])
    assert open_checkpoint(note, SIGNER.verifier) == Checkpoint(ORIGIN, 7, bytes(32))
    with pytest.raises(NoteRefused, match="does not hold"):
        open_checkpoint(note.replace("extension two\n", ""), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n7\n",
        f"{ORIGIN}\n7\n{ROOT}",
        f"\n7\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT}\n\n",
        f"{ORIGIN}\n7\n{ROOT}\n\nextension\n",
        f"{ORIGIN}\n07\n{ROOT}\n",
        f"{ORIGIN}\n00\n{ROOT}\n",
        f"{ORIGIN}\n+7\n{ROOT}\n",
        f"{ORIGIN}\n-7\n{ROOT}\n",
        f"{ORIGIN}\n 7\n{ROOT}\n",
        f"{ORIGIN}\n7 \n{ROOT}\n",
        f"{ORIGIN}\n7_0\n{ROOT}\n",
        f"{ORIGIN}\n0x7\n{ROOT}\n",
        f"{ORIGIN}\n٧\n{ROOT}\n",
        f"{ORIGIN}\n1٧\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT}\nextension",
        f"{ORIGIN}\n{2**64}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n7\n{ROOT} \n",
        f"{ORIGIN}\n7\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n7\n{b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n7\n{b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n7\n{'00' * 32}\n",
    ],
)
def test_another_form_of_a_checkpoint_is_refused(text):
    with pytest.raises(NoteRefused, match="checkpoint"):
        Checkpoint.parse(text)


def test_a_refused_size_is_not_repeated_at_its_full_length():
    with pytest.raises(NoteRefused) as refused:
        Checkpoint.parse(f"{ORIGIN}\n{'9' * 4000}\n{ROOT}\n")
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 0, bytes(32)), ("a\nb", 0, bytes(32)), ("a", -1, bytes(32)), ("a", 2**64, bytes(32)), ("a", 0, bytes(31))],
)
def test_a_checkpoint_that_could_not_be_read_cannot_be_made(origin, size, root):
    with pytest.raises(NoteRefused, match="checkpoint"):
        Checkpoint(origin, size, root)


def test_a_checkpoint_of_another_log_is_refused():
    note = sign_checkpoint(Checkpoint("other.example/log", 7, bytes(32)), SIGNER)
    with pytest.raises(NoteRefused, match=r"of the log 'other\.example/log'"):
        open_checkpoint(note, SIGNER.verifier)
    assert open_checkpoint(note, SIGNER.verifier, origin="other.example/log").size == 7


def test_a_checkpoint_by_another_key_of_the_same_name_is_refused():
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), Signer.from_private_bytes(ORIGIN, bytes(32)))
    with pytest.raises(NoteRefused, match="not signed by a known key"):
        open_checkpoint(note, SIGNER.verifier)
