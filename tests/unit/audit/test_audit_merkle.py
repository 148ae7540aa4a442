"""The vectors are those of transparency-dev/merkle, proof/verify_test.go and testdata/ (Apache-2.0), which the
Certificate Transparency tests introduced: eight leaves, the root at each size, and proofs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.merkle import (
    EMPTY_ROOT,
    CompactRange,
    ProofRefused,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from necto_pipelines.failures import AuditBroken

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
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
INCLUSIONS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
OTHER = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
NO_HASH_1, NO_HASH_2 = b"don't care 1", b"don't care 2"

SIZES = st.integers(1, 300)


def many(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place % len(data)] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("size", range(9))
def test_the_public_roots_are_found_at_each_size(size):
    assert root_of(HASHES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_the_public_inclusion_proofs_are_made_and_accepted(index, size, path):
    proof = [bytes.fromhex(text) for text in path]
    assert inclusion_proof(HASHES[:size], index) == proof
    assert root_from_inclusion(HASHES[index], index, size, proof) == ROOTS[size]
    verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize(("old_size", "new_size", "path"), CONSISTENCIES)
def test_the_public_consistency_proofs_are_made_and_accepted(old_size, new_size, path):
    proof = [bytes.fromhex(text) for text in path]
    assert consistency_proof(HASHES[:new_size], old_size) == proof
    verify_consistency(old_size, new_size, ROOTS[old_size], ROOTS[new_size], proof)


def inclusion_probes():
    """The corruptions that transparency-dev/merkle applies to each of its inclusion proofs."""
    for index, size, path in INCLUSIONS:
        proof, root, leaf = [bytes.fromhex(text) for text in path], ROOTS[size], HASHES[index]
        for wrong_index in (index - 1, index + 1, index ^ 2):
            yield leaf, wrong_index, size, proof, root
        for wrong_size in (size * 2, size // 2):
            yield leaf, index, wrong_size, proof, root
        yield b"WrongLeaf", index, size, proof, root
        yield leaf, index, size, proof, EMPTY_ROOT
        yield leaf, index, size, proof, OTHER
        for garbage in (b"", root):
            yield leaf, index, size, [*proof, garbage], root
            yield leaf, index, size, [garbage, *proof], root
        for place in range(len(proof)):
            yield leaf, index, size, [*proof[:place], flipped(proof[place], 0, 3), *proof[place + 1 :]], root
        if proof:
            yield leaf, index, size, proof[:-1], root
            yield leaf, index, size, [proof[0], OTHER, *proof[1:]], root


@pytest.mark.parametrize("probe", list(inclusion_probes()))
def test_a_corrupted_inclusion_proof_is_refused(probe):
    with pytest.raises(ProofRefused):
        verify_inclusion(*probe)


def consistency_probes():
    """The corruptions that transparency-dev/merkle applies to each of its consistency proofs."""
    for old_size, new_size, path in CONSISTENCIES[1:]:
        proof, old, new = [bytes.fromhex(text) for text in path], ROOTS[old_size], ROOTS[new_size]
        for wrong_size in (old_size - 1, old_size + 1, old_size ^ 2):
            yield wrong_size, new_size, old, new, proof
        for wrong_size in (new_size * 2, new_size // 2):
            yield old_size, wrong_size, old, new, proof
        yield old_size, new_size, b"WrongRoot", new, proof
        yield old_size, new_size, old, b"WrongRoot", proof
        yield old_size, new_size, new, old, proof
        yield old_size, new_size, old, new, []
        yield old_size, new_size, old, new, proof[:-1]
        for garbage in (b"", old, new, proof[0]):
            yield old_size, new_size, old, new, [*proof, garbage]
            yield old_size, new_size, old, new, [garbage, *proof]
        for place in range(len(proof)):
            changed = [*proof[:place], flipped(proof[place], 0, 4), *proof[place + 1 :]]
            yield old_size, new_size, old, new, changed


@pytest.mark.parametrize("probe", list(consistency_probes()))
def test_a_corrupted_consistency_proof_is_refused(probe):
    with pytest.raises(ProofRefused):
        verify_consistency(*probe)


@pytest.mark.parametrize(
    "probe",
    [
        (0, 0, NO_HASH_1, NO_HASH_2, []),
        (1, 1, NO_HASH_1, NO_HASH_2, []),
        (1, 0, NO_HASH_1, NO_HASH_2, []),
        (2, 1, NO_HASH_1, NO_HASH_2, []),
        (1, 2, NO_HASH_1, NO_HASH_2, []),
        (0, 0, EMPTY_ROOT, NO_HASH_2, []),
        (1, 1, EMPTY_ROOT, NO_HASH_2, []),
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (1, 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (0, 1, EMPTY_ROOT, EMPTY_ROOT, [EMPTY_ROOT]),
        (0, 1, EMPTY_ROOT, ROOTS[1], []),
        (-1, 1, EMPTY_ROOT, ROOTS[1], []),
    ],
)
def test_sizes_and_roots_that_cannot_be_consistent_are_refused(probe):
    with pytest.raises(ProofRefused):
        verify_consistency(*probe)


@pytest.mark.parametrize("size", range(9))
def test_a_tree_is_consistent_with_itself_by_an_empty_proof(size):
    assert consistency_proof(HASHES[:size], size) == []
    verify_consistency(size, size, ROOTS[size], ROOTS[size], [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3), (2, 1)])
def test_a_leaf_outside_the_tree_has_no_proof(index, size):
    with pytest.raises(ProofRefused, match="no such leaf"):
        inclusion_proof(HASHES[:size], index)
    with pytest.raises(ProofRefused, match="no such leaf"):
        verify_inclusion(HASHES[0], index, size, [], ROOTS[size])


@pytest.mark.parametrize(("old_size", "new_size"), [(-1, 3), (4, 3), (0, 1)])
def test_a_consistency_proof_outside_the_tree_is_not_made(old_size, new_size):
    with pytest.raises(ProofRefused, match="old size"):
        consistency_proof(HASHES[:new_size], old_size)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hashes_of_another_length_are_refused_even_where_their_sum_would_fit(length):
    left, right = HASHES[0], HASHES[1]
    both = left + right
    root = node_hash(left, right)
    with pytest.raises(ProofRefused, match="exactly 32"):
        verify_inclusion(both[:length], 0, 2, [both[length:]], root)
    with pytest.raises(ProofRefused, match="exactly 32"):
        verify_consistency(1, 2, both[:length], root, [both[length:]])
    with pytest.raises(ValueError, match="exactly 32"):
        CompactRange().append(both[:length])


@pytest.mark.parametrize("wrong", [HASHES[1][:-1], HASHES[1] + b"\x00"])
def test_one_hash_of_another_length_is_named_wherever_it_stands(wrong):
    for probe in ((wrong, 0, 2, [HASHES[1]], ROOTS[2]), (HASHES[0], 0, 2, [wrong], ROOTS[2])):
        with pytest.raises(ProofRefused, match="exactly 32"):
            verify_inclusion(*probe)
    with pytest.raises(ProofRefused, match="exactly 32"):
        verify_consistency(1, 2, ROOTS[1], ROOTS[2], [wrong])


def test_an_old_root_of_another_length_is_refused():
    with pytest.raises(ProofRefused, match="exactly 32"):
        verify_consistency(1, 2, HASHES[0] + b"\x00", ROOTS[2], [HASHES[1]])


@given(st.data())
def test_every_leaf_of_every_tree_has_a_proof_and_only_that_proof(data):
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    hashes = many(size)
    root, proof = root_of(hashes), inclusion_proof(hashes, index)
    verify_inclusion(hashes[index], index, size, proof, root)

    bit = data.draw(st.integers(0, 7))
    place = data.draw(st.integers(0, 32 * (len(proof) + 2) - 1))
    items = [hashes[index], root, *proof]
    items[place // 32] = flipped(items[place // 32], place, bit)
    with pytest.raises(ProofRefused):
        verify_inclusion(items[0], index, size, items[2:], items[1])


@given(st.data())
def test_every_tree_is_a_prefix_of_every_later_one_by_one_proof_only(data):
    new_size = data.draw(SIZES)
    old_size = data.draw(st.integers(1, new_size))
    hashes = many(new_size)
    proof = consistency_proof(hashes, old_size)
    old_root, new_root = root_of(hashes[:old_size]), root_of(hashes)
    verify_consistency(old_size, new_size, old_root, new_root, proof)

    bit = data.draw(st.integers(0, 7))
    place = data.draw(st.integers(0, 32 * (len(proof) + 2) - 1))
    items = [old_root, new_root, *proof]
    items[place // 32] = flipped(items[place // 32], place, bit)
    with pytest.raises(ProofRefused):
        verify_consistency(old_size, new_size, items[0], items[1], items[2:])


@given(st.data())
def test_a_tree_with_another_beginning_is_never_consistent(data):
    new_size = data.draw(st.integers(2, 120))
    old_size = data.draw(st.integers(1, new_size - 1))
    changed = data.draw(st.integers(0, old_size - 1))
    old, new = many(old_size), many(new_size)
    new[changed] = OTHER
    with pytest.raises(ProofRefused):
        verify_consistency(old_size, new_size, root_of(old), root_of(new), consistency_proof(new, old_size))


def test_a_compact_range_has_the_root_of_its_leaves_and_survives_storage_at_every_size():
    hashes, edge = many(301), CompactRange()
    for size, digest in enumerate(hashes):
        assert edge.root() == root_of(hashes[:size])
        assert CompactRange.from_bytes(edge.to_bytes()) == edge
        edge = CompactRange.from_bytes(edge.to_bytes())
        edge.append(digest)
    assert edge.size == 301


def test_a_compact_range_is_stored_as_its_size_and_its_hashes():
    edge = CompactRange()
    for digest in HASHES[:3]:
        edge.append(digest)
    assert edge.to_bytes() == b"\x00" * 7 + b"\x03" + node_hash(HASHES[0], HASHES[1]) + HASHES[2]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 7, b"\x00" * 7 + b"\x01", b"\x00" * 9, b"\x00" * 7 + b"\x03" + OTHER, b"\x00" * 8 + OTHER],
)
def test_a_damaged_compact_range_is_refused(data):
    with pytest.raises(AuditBroken, match="compact range"):
        CompactRange.from_bytes(data)


def test_two_neighbouring_sizes_never_share_a_root():
    roots = [root_of(many(size)) for size in range(64)]
    assert all(one != two for one, two in pairwise(roots))
