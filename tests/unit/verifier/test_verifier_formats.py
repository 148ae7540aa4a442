"""Public vectors: the eight leaves and their roots and paths of transparency-dev/merkle (Apache-2.0), which Certificate
Transparency's tests introduced, and the notes published with golang.org/x/mod/sumdb/note (BSD-3-Clause)."""

import struct
from contextlib import suppress
from hashlib import sha256

import pytest
from export_builder import KEY, audit_path, head, put, tile_path, tree_hash
from hypothesis import given
from hypothesis import strategies as st
from necto_verify import verify
from necto_verify.layout import Export, TileName, Unreadable, tile_of
from necto_verify.leaves import LeafRefused, facts_of, moment, parse
from necto_verify.merkle import EMPTY_ROOT, Edge, PathRefused, leaf_hash, root_from_path
from necto_verify.notes import Checkpoint, Key, Note, NoteRefused, decimal, from_base64
from necto_verify.policy import key_fault
from necto_verify.proofs import Proof

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
PATHS = [
    (0, 1, ""),
    (
        0,
        8,
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (
        5,
        8,
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    (
        1,
        5,
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
]
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NOTE = TEXT + "\n" + PETER_LINE
KEYS = [Key.parse(PETER), Key.parse(ENOCH)]


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in LEAVES[:count]]


class TestTrees:
    @pytest.mark.parametrize("size", range(9))
    def test_the_published_roots(self, size):
        assert Edge().with_hashes(b"".join(hashes_of(size))) == ROOTS[size]
        assert tree_hash(hashes_of(size)) == ROOTS[size]

    @pytest.mark.parametrize(("index", "size", "text"), PATHS)
    def test_the_published_paths(self, index, size, text):
        path = [bytes.fromhex(text[start : start + 64]) for start in range(0, len(text), 64)]
        leaf = leaf_hash(LEAVES[index])
        assert root_from_path(leaf, index, size, path) == ROOTS[size]
        with pytest.raises(PathRefused, match="too many"):
            root_from_path(leaf, index, size, [*path, bytes(32)])
        with pytest.raises(PathRefused, match="outside"):
            root_from_path(leaf, size, size, path)
        if path:
            with pytest.raises(PathRefused, match="too few"):
                root_from_path(leaf, index, size, path[:-1])
            assert root_from_path(leaf, index, size, [bytes(32), *path[1:]]) != ROOTS[size]

    def test_nothing_is_included_in_an_empty_tree(self):
        with pytest.raises(PathRefused):
            root_from_path(bytes(32), 0, 0, [])
        assert Edge().root() == EMPTY_ROOT == ROOTS[0]

    @given(st.integers(1, 300), st.data())
    def test_every_path_leads_to_the_root(self, size, data):
        hashes = [sha256(struct.pack(">I", number)).digest() for number in range(size)]
        index = data.draw(st.integers(0, size - 1))
        root = root_from_path(hashes[index], index, size, audit_path(index, hashes))
        assert root == tree_hash(hashes) == Edge().with_hashes(b"".join(hashes))

    def test_an_export_of_the_published_leaves_has_their_root(self, tmp_path):
        """Its entries are no leaves of Necto, which is all that is wrong with it."""
        put(tmp_path, tile_path("entries", 0, 8), b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in LEAVES))
        put(tmp_path, tile_path(0, 0, 8), b"".join(hashes_of(8)))
        put(tmp_path, "checkpoint", head(8, ROOTS[8]))
        put(tmp_path, "vkey", KEY.vkey)
        verdict = verify(tmp_path)
        assert {fault.kind for fault in verdict.faults} == {"leaf"}
        assert verdict.root == ROOTS[8]


class TestNotes:
    @pytest.mark.parametrize("lines", [PETER_LINE, PETER_LINE + ENOCH_LINE, ENOCH_LINE + PETER_LINE, PETER_LINE * 16])
    def test_the_published_notes(self, lines):
        note = Note.parse((TEXT + "\n" + lines).encode())
        assert note.text == TEXT
        assert KEYS[0] in note.signers(KEYS)
        assert note.signers(KEYS[:1]) == KEYS[:1] * lines.count("PeterNeumann")

    @pytest.mark.parametrize("text", [PETER, ENOCH])
    def test_the_published_keys(self, text):
        key = Key.parse(text + "\n")
        assert key.vkey == text
        assert key_fault(key) is None

    @pytest.mark.parametrize(
        "note",
        [
            b"",
            TEXT.encode(),
            (TEXT + "\n").encode(),
            NOTE[:-1].encode(),
            b"\xff" + NOTE.encode(),
            NOTE.replace("think", "th\tink").encode(),
            NOTE.replace("\n", "\r\n").encode(),
            (NOTE + "Unexpected line.\n").encode(),
            NOTE.replace("— Peter", "- Peter").encode(),
            NOTE.replace("— Peter", "— Peter ").encode(),
            NOTE.replace("— Peter", "— Peter+").encode(),
            NOTE.replace("JnAM=\n", "JnAN=\n").encode(),
            NOTE.replace("JnAM=\n", "JnAM\n").encode(),
            (TEXT + "\n— PeterNeumann x08gow==\n").encode(),
            (TEXT + "\n" + PETER_LINE * 101).encode(),
        ],
    )
    def test_malformed_notes_are_refused(self, note):
        with pytest.raises(NoteRefused):
            Note.parse(note)

    @pytest.mark.parametrize("change", [("answer", "Answer"), ("ZJku", "ZJkU")])
    def test_a_known_key_whose_signature_fails_refuses_the_note(self, change):
        with pytest.raises(NoteRefused, match="does not hold"):
            Note.parse(NOTE.replace(*change).encode()).signers(KEYS)
        bad = PETER_LINE.replace(*change) if change[0] in PETER_LINE else ""
        if bad:
            with pytest.raises(NoteRefused, match="does not hold"):
                Note.parse((NOTE + bad).encode()).signers(KEYS)

    @pytest.mark.parametrize("change", [("— PeterNeumann", "— PeterNewmann"), ("x08go/", "y08go/")])
    def test_unknown_signers_are_passed_over(self, change):
        assert Note.parse(NOTE.replace(*change).encode()).signers(KEYS) == []

    @pytest.mark.parametrize(
        ("point", "why"),
        [
            ((0).to_bytes(32, "little"), "low order"),
            ((1).to_bytes(32, "little"), "low order"),
            ((2**255 - 20).to_bytes(32, "little"), "low order"),
            ((2**255 + 1).to_bytes(32, "little"), "low order"),
            (bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "low order"),
            (bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "low order"),
            ((2**255 - 19).to_bytes(32, "little"), "spelling"),
            (bytes([255] * 32), "spelling"),
        ],
    )
    def test_keys_that_anybody_can_sign_under_are_refused(self, point, why):
        key = Key("a", "00000000", point)
        assert why in (key_fault(Key("a", key.key_id.hex(), point)) or "")

    @pytest.mark.parametrize(
        "text",
        ["", "PeterNeumann", "a+b", "+c74f20a3+AA==", PETER[:-4], PETER.replace("+AR", "+AB"), PETER.replace("P", " ")],
    )
    def test_malformed_keys_are_refused(self, text):
        with pytest.raises(NoteRefused):
            Key.parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a\n1\n",
            "a\n1\nAAAA\n",
            "a\n01\n" + "A" * 43 + "=\n",
            "a\n-1\n" + "A" * 43 + "=\n",
            "a\n1\n\n" + "A" * 43,
        ],
    )
    def test_malformed_checkpoints_are_refused(self, text):
        with pytest.raises(NoteRefused):
            Checkpoint.parse(text)

    def test_extension_lines_are_passed_over(self):
        assert Checkpoint.parse("a\n1\n" + "A" * 43 + "=\nextension\n") == Checkpoint("a", 1, bytes(32))

    @given(st.binary())
    def test_no_bytes_give_anything_but_a_refusal(self, data):
        for read in (Note.parse, Proof.parse, lambda data: from_base64(data.decode("latin-1"))):
            with suppress(NoteRefused):
                read(data)

    @pytest.mark.parametrize("text", ["", "01", "-1", "1.0", "٣", "9223372036854775808", "1" * 30])
    def test_numbers_have_one_spelling(self, text):
        with pytest.raises(NoteRefused):
            decimal(text)


class TestLayout:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            (TileName("0", 0), "tile/0/000"),
            (TileName("entries", 999, 7), "tile/entries/999.p/7"),
            (TileName("1", 1234067), "tile/1/x001/x234/067"),
        ],
    )
    def test_the_paths_of_the_specification(self, name, path):
        assert name.path == path
        assert TileName.at(path) == name
        assert tile_path(name.level, name.number, name.width) == path

    @pytest.mark.parametrize(
        "path",
        [
            "tile/0/0",
            "tile/0/x000/000",
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/00/000",
            "tile/data/000",
            "tile/0/001/000",
            "tile/0/000.p/7/8",
            "tile/0/٠٠٠",
        ],
    )
    def test_other_paths_are_no_tiles(self, path):
        assert TileName.at(path) is None

    @pytest.mark.parametrize(
        ("level", "number", "size", "width"),
        [
            ("0", 0, 0, None),
            ("0", 0, 1, 1),
            ("0", 0, 256, 256),
            ("0", 1, 256, None),
            ("1", 0, 255, None),
            ("1", 0, 256, 1),
        ],
    )
    def test_the_tiles_a_size_calls_for(self, level, number, size, width):
        tile = tile_of(level, number, size)
        assert (tile.width if tile else None) == width

    @pytest.mark.parametrize("name", ["missing", "folder", "long", "a\0b"])
    def test_what_cannot_be_read_is_named(self, tmp_path, name):
        (tmp_path / "folder").mkdir()
        (tmp_path / "long").write_bytes(bytes(11))
        with pytest.raises(Unreadable):
            Export(tmp_path).read(name, 10)


@pytest.mark.parametrize(
    "text", ["", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22 10:00:00Z", "2026-11-22T25:00:00Z", 7]
)
def test_times_are_rfc_3339(text):
    with pytest.raises(LeafRefused):
        moment(text)


@given(st.binary())
def test_no_entry_gives_anything_but_facts_or_a_refusal(data):
    with suppress(LeafRefused):
        facts_of(parse(data))
