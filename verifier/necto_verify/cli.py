"""The command `necto-verify`: arguments in, verdict and exit code out.

Exit codes: 0 verified at the level asked for; 1 faults found; 2 the arguments cannot be used; 3 no faults, but a lower
level than asked for.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from necto_verify.faults import InputUnusable
from necto_verify.layout import Unreadable, read_file
from necto_verify.policy import MAX_POLICY_BYTES, MAX_VKEY_BYTES
from necto_verify.text import readable
from necto_verify.times import TOLERANCE
from necto_verify.verdict import Assurance, Verdict
from necto_verify.verification import verify

VERIFIED, FAULTS, UNUSABLE, BELOW = 0, 1, 2, 3
MAX_WORKERS: Final = 4
"""further processes take 10 to 25 MiB each"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify and say so; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        verdict = verify(
            given.folder,
            vkey=_vkey(given.vkey) if given.vkey is not None else None,
            policy=_content(given.policy, MAX_POLICY_BYTES) if given.policy is not None else None,
            saved=given.checkpoint,
            tolerance=timedelta(seconds=given.tolerance_s),
            thorough=given.thorough,
            workers=given.workers,
        )
    except (InputUnusable, Unreadable, OSError) as error:
        print(f"necto-verify: {error}", file=sys.stderr)  # noqa: T201
        return UNUSABLE
    if not given.quiet:
        _say(json.dumps(verdict.as_json(), indent=2) if given.json else readable(verdict))
    return _exit_code(verdict, Assurance(given.require))


def _exit_code(verdict: Verdict, required: Assurance) -> int:
    if not verdict.ok:
        return FAULTS
    return VERIFIED if verdict.reaches(required) else BELOW


def _say(text: str) -> None:
    """Print, whatever the terminal can show; a reader who leaves early is no error."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)  # noqa: T201
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _vkey(given: str) -> str:
    """A key as text, or the one in the file of this name."""
    if given.count("+") >= 2 and not Path(given).exists():
        return given
    return _content(Path(given), MAX_VKEY_BYTES).decode(errors="replace")


def _content(path: Path, limit: int) -> bytes:
    return read_file(path, str(path), limit)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not allowed; whole seconds, 0 or more")
    return int(text)


def _workers(text: str) -> int:
    if text not in {"1", "2", "3", "4", "5", "6", "7", "8"}:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not allowed; 1 to 8")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="necto-verify",
        description="Verify an exported audit log offline.",
        epilog="Exit codes: 0 verified at the level asked for; 1 faults found; 2 the arguments cannot be used; "
        "3 no faults, but a lower level than asked for.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the export")
    parser.add_argument("--vkey", metavar="FILE|TEXT", help="the log's public key, from a source other than the log")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="keys and time-stamping authorities to believe")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE|DIR",
        help="a checkpoint kept elsewhere, or a folder of them; repeatable",
    )
    parser.add_argument(
        "--require",
        choices=[str(level) for level in Assurance],
        default=str(Assurance.SELF_CONSISTENT),
        metavar="LEVEL",
        help="self-consistent (the default), consistent-with, time-bounded or complete",
    )
    parser.add_argument(
        "--tolerance-s",
        type=_seconds,
        default=int(TOLERANCE.total_seconds()),
        metavar="S",
        help="how far an entry's time may lie outside its timestamps (default 300)",
    )
    parser.add_argument("--thorough", action="store_true", help="parse every leaf; takes several times as long")
    parser.add_argument(
        "--workers", type=_workers, default=_own_workers(), metavar="N", help="processes that read a large log"
    )
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    parser.add_argument("--quiet", action="store_true", help="only the exit code")
    return parser


def _own_workers() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MAX_WORKERS)
