"""Exports for the verifier's tests, written from the public formats alone: nothing of Necto, nothing of the verifier.

The tree follows RFC 6962 section 2.1 word for word, by recursion, where the verifier grows an edge.
"""

import hmac
import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "necto.test/audit"
START = datetime(2026, 11, 22, 10, tzinfo=UTC)
SALT = bytes(range(32))


@dataclass(frozen=True)
class LogKey:
    """A key that signs checkpoints."""

    secret: bytes
    name: str = ORIGIN

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @property
    def key(self) -> bytes:
        return b"\x01" + self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self.key).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self.key).decode()}"

    def line(self, text: str) -> str:
        return f"— {self.name} {b64encode(self.key_id + self.private.sign(text.encode())).decode()}\n"


KEY, OTHER_KEY = LogKey(b"k" * 32), LogKey(b"o" * 32)


def note(text: str, *keys: LogKey) -> str:
    return text + "\n" + "".join(key.line(text) for key in keys)


def head(size: int, root: bytes, *keys: LogKey, origin: str = ORIGIN) -> str:
    return note(f"{origin}\n{size}\n{b64encode(root).decode()}\n", *(keys or (KEY,)))


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + tree_hash(hashes[:half]) + tree_hash(hashes[half:])).digest()


def audit_path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    if len(hashes) <= 1:
        return []
    half = 1 << (len(hashes) - 1).bit_length() - 1
    if index < half:
        return [*audit_path(index, hashes[:half]), tree_hash(hashes[half:])]
    return [*audit_path(index - half, hashes[half:]), tree_hash(hashes[:half])]


def json_bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def commitment(label: str, value: str, salt: bytes = SALT) -> str:
    return b64encode(hmac.new(salt, label.encode() + b"\0" + value.encode(), sha256).digest()).decode()


def time_of(index: int) -> str:
    return (START + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(index: int, run: str | None = None, kind: str = "order.submitted", **further: Any) -> dict[str, Any]:
    """The leaf at this index as an object."""
    made: dict[str, Any] = {
        "v": 2,
        "id": f"01900000-0000-7000-8000-{index:012x}",
        "ts": time_of(index),
        "type": kind,
        "actor": {"kind": "service", "name": "pipeline"},
        "subject": {"order": f"ord_{index}"},
        "rows": [],
        "inputs": [],
        "body": {"gpus": 8, "usd_per_hour": "3.125"},
        "basis": "art6.1b",
        "retention": "inv-10y",
    }
    if run:
        made["run"] = {"dagster_run_id": run, "job": "procure", "step": "route"}
    return made | further


def leaves(count: int) -> list[bytes]:
    return [json_bytes(event(index)) for index in range(count)]


@dataclass
class Log:
    """A log in memory, and how its export is written."""

    entries: list[bytes] = field(default_factory=list)
    keys: tuple[LogKey, ...] = (KEY,)

    @property
    def hashes(self) -> list[bytes]:
        return [sha256(b"\x00" + entry).digest() for entry in self.entries]

    def add(self, **members: Any) -> int:
        """Append a leaf; returns its index."""
        index = len(self.entries)
        self.entries.append(json_bytes(event(index, **members)))
        return index

    def finish(self, run: str, **changes: Any) -> int:
        """Append the closing manifest of a run."""
        mine = [sha256(b"\x00" + entry).digest() for entry in self.entries if f'"{run}"'.encode() in entry]
        body = {"count": len(mine), "digest": sha256(b"".join(mine)).hexdigest()} | changes
        return self.add(run=run, kind="run.finished", body=body)

    def root(self, size: int | None = None) -> bytes:
        return tree_hash(self.hashes[:size])

    def checkpoint(self, size: int | None = None, *keys: LogKey) -> str:
        size = len(self.entries) if size is None else size
        return head(size, self.root(size), *(keys or self.keys))

    def proof(self, index: int, size: int | None = None) -> str:
        hashes = self.hashes[:size]
        path = "".join(f"{b64encode(step).decode()}\n" for step in audit_path(index, hashes))
        return f"c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{self.checkpoint(size)}"

    def write(self, folder: Path, checkpoints: Iterable[int] = (), policy: dict[str, Any] | None = None) -> Path:
        """Write the export of all entries, with checkpoints of these sizes besides the newest."""
        files = tiles(self.entries)
        newest = self.checkpoint()
        files["checkpoint"] = files[f"checkpoint.{len(self.entries)}"] = newest.encode()
        for size in checkpoints:
            files[f"checkpoint.{size}"] = self.checkpoint(size).encode()
        files["vkey"] = f"{self.keys[-1].vkey}\n".encode()
        if policy is not None:
            files["policy.json"] = json.dumps(policy).encode()
        for name, data in files.items():
            put(folder, name, data)
        return folder


def put(folder: Path, name: str, data: bytes | str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def tile_path(level: int | str, number: int, width: int) -> str:
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    part = f".p/{width}" if width < 256 else ""
    return f"tile/{level}/" + "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]]) + part


def tiles(entries: Sequence[bytes]) -> dict[str, bytes]:
    """All tiles and bundles of a log by their paths."""
    files = {}
    for start in range(0, len(entries), 256):
        part = entries[start : start + 256]
        data = b"".join(struct.pack(">H", len(entry)) + entry for entry in part)
        files[tile_path("entries", start // 256, len(part))] = data
    hashes, level = [sha256(b"\x00" + entry).digest() for entry in entries], 0
    while hashes:
        for start in range(0, len(hashes), 256):
            files[tile_path(level, start // 256, len(hashes[start : start + 256]))] = b"".join(
                hashes[start : start + 256]
            )
        full = len(hashes) // 256
        hashes, level = [tree_hash(hashes[place * 256 : place * 256 + 256]) for place in range(full)], level + 1
    return files


def policy_of(*keys: LogKey, **further: Any) -> dict[str, Any]:
    return {"origin": ORIGIN, "keys": [{"vkey": key.vkey, "from": 0, "until": None} for key in keys]} | further
