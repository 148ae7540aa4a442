"""The verdict as text for people. Everything from the export is escaped: it must not write to a terminal."""

from collections.abc import Iterator

from necto_verify.openings import State
from necto_verify.verdict import Verdict

SHOWN_FAULTS = 20
SHOWN_FIELDS = 20


def readable(verdict: Verdict) -> str:
    """The first line says it all; faults come before everything else."""
    return "\n".join(_plain(line) for line in _lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    if verdict.ok:
        yield f"verified: {verdict.size} entries of {verdict.origin}; assurance: {verdict.assurance}"
    else:
        yield f"NOT VERIFIED: {verdict.fault_count} faults in the log {verdict.origin}"
        for fault in verdict.faults[:SHOWN_FAULTS]:
            place = "" if fault.index is None else f" at entry {fault.index}"
            yield f"  {fault.kind}{place}: {fault.what}"
        if len(verdict.faults) > SHOWN_FAULTS:
            yield f"  … {len(verdict.faults) - SHOWN_FAULTS} more; --json names them"
    yield ""
    for level in verdict.levels:
        yield f"  [{'x' if level.holds else ' '}] {level.name}: {level.rests_on}"
    yield ""
    yield f"  keys named by {verdict.policy.keys_from}: " + ", ".join(item.key.vkey for item in verdict.policy.keys)
    yield f"  checkpoints {verdict.checkpoints}, proofs {verdict.proofs}, timestamps {len(verdict.anchors)}"
    if verdict.anchors_unjudged:
        names = ", ".join(verdict.anchors_unjudged[:10])
        yield f"  timestamps of authorities that no policy names, not judged: {names}"
        yield f"  timestamps of authorities that no policy names, not judged: {names}"
    if verdict.runs.unfinished:
        yield f"  runs without a start or an end: {', '.join(verdict.runs.unfinished_runs)}"
    yield from _fields(verdict)
    yield ""
    yield "  This does not prove:"
    for item in verdict.not_proved:
        yield f"  - {item}"


def _fields(verdict: Verdict) -> Iterator[str]:
    if not verdict.fields:
        return
    states = [field.state for field in verdict.fields]
    yield "  committed values: " + ", ".join(f"{states.count(state)} {state}" for state in State if state in states)
    for field in verdict.fields[:SHOWN_FIELDS]:
        by = "" if field.erased_by is None else f" by entry {field.erased_by}"
        yield f"    entry {field.index} {field.label}: {field.state}{by}"


def _plain(line: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
