"""Addresses that look and check like the network's own: bech32 with the prefix `akash` (BIP 173).

They are hashes of made-up names, so nobody holds a key to them.
"""

from necto_pipelines.sandbox.seeded import digest

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
PREFIX = "akash"


def address_of(*parts: object, prefix: str = PREFIX) -> str:
    """The address that belongs to a name: `akash1` and 38 characters, six of them the checksum."""
    data = _to_fives(digest(*parts)[:20])
    checked = data + _checksum(prefix, data)
    return f"{prefix}1" + "".join(_ALPHABET[value] for value in checked)


def is_address(text: str) -> bool:
    """True for a bech32 address of this network with a right checksum."""
    body = text.removeprefix(f"{PREFIX}1")
    if body == text or len(body) != 38 or any(sign not in _ALPHABET for sign in body):
        return False
    values = [_ALPHABET.index(sign) for sign in body]
    return _polymod(_expanded(PREFIX) + values) == 1


def _to_fives(data: bytes) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in data)
    return [int(bits[start : start + 5], 2) for start in range(0, len(bits), 5)]


def _checksum(prefix: str, data: list[int]) -> list[int]:
    remainder = _polymod(_expanded(prefix) + data + [0] * 6) ^ 1
    return [remainder >> 5 * (5 - place) & 31 for place in range(6)]


def _expanded(prefix: str) -> list[int]:
    return [ord(sign) >> 5 for sign in prefix] + [0] + [ord(sign) & 31 for sign in prefix]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                check ^= generator
    return check
