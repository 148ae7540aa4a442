"""Searching the very bytes of files: what an erasure must leave nowhere."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms(secret: bytes) -> list[bytes]:
    """A secret as it could stand in a file: raw, in hex, and in base64 at each of the three alignments."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        # Characters at the ends also depend on what stands beside the secret.
        coded = b64encode(bytes(shift) + secret)
        found.append(coded[(0, 2, 3)[shift] : len(coded) - 4])
    return found


def found_in(folders: Iterable[Path], secrets: Iterable[bytes]) -> list[str]:
    """`file: form` for each form of a secret that stands in a file below the folders."""
    wanted = [form for secret in secrets for form in forms(secret)]
    files = ((file, file.read_bytes()) for file in _files(folders))
    return [f"{file}: {form!r}" for file, data in files for form in wanted if form in data]


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (file for file in sorted(folder.rglob("*")) if file.is_file())
