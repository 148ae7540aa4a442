"""The stand-alone verifier on a large export, against a bare loop that reads the same bundles and hashes each entry.

`python benchmarks/verifying.py --entries 1000000 --json` writes an export into a temporary folder (0.6 KB an entry) and
lets both read it in turn, each as a process of its own. Compared are the middle times of the repetitions. The export
holds what a real one does: runs of seventeen leaves with manifests, an earlier checkpoint named in each leaf.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERIFIER: Final = Path(__file__).parents[1] / "verifier"
WIDTH: Final = 256
LEAVES_A_RUN: Final = 17
ORIGIN: Final = "necto.benchmark/audit"
GOAL: Final = 1.5
GOAL_MIB: Final = 100
BARE: Final = """
import sys
from hashlib import sha256
for path in sys.stdin.read().split():
    with open(path, "rb") as file:
        data = file.read()
    start, end = 0, len(data)
    while start < end:
        stop = start + 2 + (data[start] << 8 | data[start + 1])
        sha256(b"\\0" + data[start + 2 : stop]).digest()
        start = stop
"""
"""the yardstick: every byte read once and every entry hashed, nothing kept and nothing compared"""


@dataclass(frozen=True)
class Run:
    """One process: how long it took, how much processor it used, and the most memory it and its children held."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def main() -> int:
    """Write the export, run both, print the ratio."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.folder or Path(place)
        if not (folder / "checkpoint").exists():
            write_export(folder, arguments.entries)
        bundles = "\n".join(sorted(str(path) for path in (folder / "tile" / "entries").rglob("*") if path.is_file()))
        verifying = [sys.executable, "-m", "necto_verify", str(folder), "--quiet", *arguments.verifier]
        rounds = [
            (run([sys.executable, "-c", BARE], bundles), run(verifying, "")) for _ in range(arguments.repetitions)
        ]
    bare, verifier = _middle([first for first, _ in rounds]), _middle([second for _, second in rounds])
    figures = {
        "entries": arguments.entries,
        "bare": asdict(bare),
        "verifier": asdict(verifier),
        "ratio": round(verifier.wall_s / bare.wall_s, 2),
        "cpu_ratio": round(verifier.cpu_s / bare.cpu_s, 2),
        "goal": GOAL,
        "goal_mib": GOAL_MIB,
        "entries_per_s": round(arguments.entries / verifier.wall_s),
    }
    print(json.dumps(figures) if arguments.json else _readable(figures, bare, verifier))
    return 0


def run(command: Sequence[str], stdin: str) -> Run:
    """Run a process to its end; raises CalledProcessError when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(VERIFIER)}
    before, start = os.times(), time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment) as process:
        if process.stdin:
            process.stdin.write(stdin)
            process.stdin.close()
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _memory_mib(process.pid))
            time.sleep(0.02)
    wall, after = time.perf_counter() - start, os.times()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(round(wall, 3), round(cpu, 3), round(peak, 1))


def write_export(folder: Path, entries: int) -> None:
    """An export of so many entries, tile by tile."""
    levels: list[list[bytes]] = [[]]
    for number, bundle in enumerate(_bundles(entries)):
        _put(folder, "entries", number, len(bundle), b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in bundle))
        _grow(folder, levels, 0, number, [sha256(b"\0" + leaf).digest() for leaf in bundle])
    for level, hashes in enumerate(levels):
        if hashes:
            _put(folder, level, (entries >> 8 * level) // WIDTH, len(hashes), b"".join(hashes))
    root = b""
    for hashes in levels:
        root = _joined(hashes, root)
    key = Ed25519PrivateKey.generate()
    public = b"\1" + key.public_key().public_bytes_raw()
    key_id = sha256(ORIGIN.encode() + b"\n" + public).digest()[:4]
    text = f"{ORIGIN}\n{entries}\n{b64encode(root).decode()}\n"
    note = f"{text}\n— {ORIGIN} {b64encode(key_id + key.sign(text.encode())).decode()}\n"
    for name in ("checkpoint", f"checkpoint.{entries}"):
        (folder / name).write_text(note)
    (folder / "vkey").write_text(f"{ORIGIN}+{key_id.hex()}+{b64encode(public).decode()}\n")


def _bundles(entries: int) -> Iterator[list[bytes]]:
    """The leaves; from the second bundle on they name the tree over the first one."""
    bundle: list[bytes] = []
    after = ""
    digest = sha256()
    for index in range(entries):
        run, step = divmod(index, LEAVES_A_RUN)
        if step == 0:
            digest = sha256()
            leaf = _leaf(index, run, after, "run.started", '"planned":"freeze,screen,route,hold,convert,place,record"')
        elif step == LEAVES_A_RUN - 1:
            leaf = _leaf(index, run, after, "run.finished", f'"count":{step},"digest":"{digest.hexdigest()}"')
        else:
            leaf = _leaf(index, run, after, "order.placed", '"gpus":8,"usd_per_hour":"3.125000000000"')
        digest.update(sha256(b"\0" + leaf).digest())
        bundle.append(leaf)
        if len(bundle) == WIDTH or index == entries - 1:
            yield bundle
            root = _joined([sha256(b"\0" + leaf).digest() for leaf in bundle], b"") if not after else b""
            after = after or f'"after":{{"root":"{b64encode(root).decode()}","size":{WIDTH}}},'
            bundle = []


def _leaf(index: int, run: int, after: str, kind: str, body: str) -> bytes:
    seconds = index // 20
    moment = f"2026-{seconds // 2419200 % 12 + 1:02}-{seconds // 86400 % 28 + 1:02}T{seconds // 3600 % 24:02}"
    return (
        '{"actor":{"kind":"service","name":"pipeline"},'
        f'{after}"basis":"art6.1b","body":{{{body}}},'
        f'"id":"0193527a-0000-7000-8000-{index:012x}","inputs":[],"retention":"inv-10y",'
        f'"rows":[{{"key":"ord_{index:012d}","sha256":"{sha256(b"%d" % index).hexdigest()}","table":"orders"}}],'
        f'"run":{{"dagster_run_id":"5f1c0000-0000-4000-8000-{run:012x}","job":"procure","step":"place"}},'
        f'"subject":{{"order":"ord_{index:012d}"}},'
        f'"ts":"{moment}:{seconds // 60 % 60:02}:{seconds % 60:02}.000000Z","type":"{kind}","v":2}}'
    ).encode()


def _grow(folder: Path, levels: list[list[bytes]], level: int, number: int, hashes: list[bytes]) -> None:
    if level == len(levels):
        levels.append([])
    levels[level] += hashes
    if len(levels[level]) == WIDTH:
        _put(folder, level, number, WIDTH, b"".join(levels[level]))
        whole = _complete(levels[level])
        levels[level] = []
        _grow(folder, levels, level + 1, number // WIDTH, [whole])


def _joined(hashes: list[bytes], right: bytes) -> bytes:
    """The root over the hashes of a partial tile and what stands to their right, which may be nothing."""
    while hashes:
        width = len(hashes) & -len(hashes)
        last, hashes = _complete(hashes[-width:]), hashes[:-width]
        right = sha256(b"\1" + last + right).digest() if right else last
    return right


def _complete(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [sha256(b"\1" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def _put(folder: Path, level: int | str, number: int, width: int, data: bytes) -> None:
    thousands, rest = divmod(number, 1000)
    name = f"x{thousands:03}/{rest:03}" if thousands else f"{rest:03}"
    path = folder / "tile" / str(level) / (name if width == WIDTH else f"{name}.p/{width}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _memory_mib(process: int) -> float:
    """What a process and its children hold now, shared pages by their share; 0 where the system does not tell."""
    total = 0.0
    with suppress(OSError, ValueError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
        total += sum(_memory_mib(int(child)) for child in children)
    return total


def _middle(runs: list[Run]) -> Run:
    return Run(median(run.wall_s for run in runs), median(run.cpu_s for run in runs), max(run.peak_mib for run in runs))


def _readable(figures: dict[str, object], bare: Run, verifier: Run) -> str:
    return (
        f"{figures['entries']:,} entries: bare loop {bare.wall_s} s, verifier {verifier.wall_s} s "
        f"({figures['ratio']} times, goal {GOAL}; processor time {figures['cpu_ratio']} times), "
        f"{verifier.peak_mib} MiB (goal {GOAL_MIB})"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the export is kept, or found from an earlier run")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("verifier", nargs="*", help="further arguments of necto-verify, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
