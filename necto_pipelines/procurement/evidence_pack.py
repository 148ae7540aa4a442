"""A month's evidence as one ZIP for an auditor or regulator: every invoice traced and proved, what controls operated,
what verification found, what went wrong.

What the pages say stands in `evidence_pages.py`, which control an event speaks for in `control_mapping.py`.
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from necto_pipelines.books.books import Actor
from necto_pipelines.failures import AuditBroken, InvalidInput, Problem, Unavailable
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.procurement.bundle_files import bundle_files
from necto_pipelines.procurement.control_mapping import operated, unmapped
from necto_pipelines.procurement.evidence_pages import Found, index_html, readme
from necto_pipelines.procurement.proof_bundle import trace
from necto_pipelines.procurement.proof_records import Bundle
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.tracing_hops import Kept, read_object

SCHEMA: Final = "necto/evidence-pack@v1"
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_TROUBLE: Final = ("incident.raised", "incident.resolved", "failover.decided")
_BAD_STATES: Final = ("failed", "refused", "unhealthy", "unknown")


@dataclass(frozen=True)
class PackedFile:
    """A file of the pack."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Pack:
    """A pack that was written. `ok` is false when a trace or the verification failed: the pack then shows it."""

    month: str
    path: Path
    sha256: str
    ok: bool
    invoices: int
    files: tuple[PackedFile, ...]
    leaf_index: int


def pack_month(runtime: Runtime, month: str, actor: Actor, failed_checks: Sequence[Mapping[str, str]] = ()) -> Pack:
    """Write the pack of `month` (YYYY-MM) below home/evidence and log its digest as a leaf `evidence.packed`.

    `failed_checks` are the asset checks that failed in the month: asset, check, at, description. Packs are never
    replaced: a later one of the same month stands beside the earlier. Raises InvalidInput for another kind of month.
    """
    if not _MONTH.fullmatch(month):
        raise InvalidInput([Problem("month", month, "write a month as YYYY-MM, for example 2026-11")])
    home = runtime.settings.home / "evidence" / month
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home, prefix=".packing-") as name:
        folder = Path(name) / "pack"
        found = _gather(runtime, month, failed_checks, folder)
        files = _manifest(folder, month, rfc3339(runtime.clock.now()))
        zipped = Path(name) / "pack.zip"
        _zip(folder, zipped)
        with zipped.open("rb") as body:
            digest = sha256(body.read()).hexdigest()
        path = home / f"necto-evidence-{month}-{digest[:16]}.zip"
        zipped.replace(path)
    with runtime.books.change(actor) as change:
        facts = {"month": month, "sha256": digest, "files": len(files)}
        leaf = change.note("evidence.packed", facts, {"evidence": month})
    _sign(runtime)
    return Pack(month, path, digest, found.ok, len(found.invoices), tuple(files), leaf)


def _gather(runtime: Runtime, month: str, failed_checks: Sequence[Mapping[str, str]], folder: Path) -> Found:
    """Write everything but the manifest into `folder`."""
    folder.mkdir()
    indexes, trouble, numbers = _entries(runtime, month)
    invoices = {}
    for number in numbers:
        bundle = trace(runtime, number)
        invoices[number] = bundle
        for name, body in bundle_files(bundle, runtime.warehouse, blobs=False).items():
            _write(folder / "invoices" / number / name, body)
        _write_blobs(runtime, bundle, folder / "blobs")
    found = Found(
        month=month,
        made_at=rfc3339(runtime.clock.now()),
        origin=runtime.books.origin,
        vkey=runtime.books.vkey,
        invoices=invoices,
        controls=operated(indexes),
        unmapped={kind: len(indexes[kind]) for kind in unmapped(indexes)},
        verification=_verification(runtime, folder.parent / "export"),
        trouble=trouble,
        failed_checks=list(failed_checks),
        incidents=[asdict(each) for each in runtime.books.incidents() if each.at.startswith(month)],
    )
    controls = [asdict(each) for each in found.controls]
    incidents = {"log": found.incidents, "entries": found.trouble, "failed_checks": found.failed_checks}
    _write(folder / "README.txt", readme(found).encode())
    _write(folder / "index.html", index_html(found).encode())
    _write(folder / "controls.json", _json({"controls": controls, "not_mapped": found.unmapped}))
    _write(folder / "verification.json", _json(found.verification))
    _write(folder / "incidents.json", _json(incidents))
    return found


def _entries(runtime: Runtime, month: str) -> tuple[dict[str, list[int]], list[dict[str, Any]], list[str]]:
    """Leaf indexes of the month by type of event, the entries that tell of trouble, and the numbers of the month's
    invoices: as the log has them, so that one that was deleted from the books is missed."""
    indexes: dict[str, list[int]] = {}
    trouble, numbers = [], []
    with runtime.books.snapshot() as books:
        for stored in books.entries():
            event = read_object(stored.leaf)
            kind, body = str(event.get("type")), event.get("body")
            said = body if isinstance(body, dict) else {}
            if kind == "invoice.issued" and said.get("month") == month:
                numbers.append(str(event["subject"]["invoice"]))
            if not str(event.get("ts")).startswith(month):
                continue
            indexes.setdefault(kind, []).append(stored.index)
            if kind in _TROUBLE or any(said.get(name) in _BAD_STATES for name in ("to", "new", "state")):
                facts = {name: value for name, value in said.items() if not isinstance(value, dict | list)}
                trouble.append({"leaf": stored.index, "at": event.get("ts"), "type": kind, "facts": facts})
    return indexes, trouble, numbers


def _write_blobs(runtime: Runtime, bundle: Bundle, folder: Path) -> None:
    for hop in bundle.hops:
        if hop.blob and hop.blob.kept is Kept.WHOLE and not (folder / hop.blob.sha256).exists():
            _write(folder / hop.blob.sha256, runtime.warehouse.read_bytes(hop.blob.sha256))


def _verification(runtime: Runtime, folder: Path) -> dict[str, Any]:
    """What both verifiers find: Necto's own on the books, and the independent one on an export made for it."""
    verdict = runtime.books.verify()
    return {
        "books": {
            "ok": verdict.ok,
            "size": verdict.size,
            "root": verdict.root.hex(),
            "checkpoints": verdict.checkpoints,
            "faults": [asdict(fault) for fault in verdict.faults],
        },
        "necto_verify": _verified_apart(runtime, folder),
    }


def _verified_apart(runtime: Runtime, folder: Path) -> dict[str, Any]:
    try:
        verify = import_module("necto_verify").verify
    except ImportError:
        return {"ran": False, "why": "the distribution necto-verify is not installed here"}
    try:
        runtime.books.export(folder, proofs=0)
    except (AuditBroken, Unavailable) as fault:
        return {"ran": False, "why": f"the log could not be exported: {fault}"}
    found: dict[str, Any] = verify(folder).as_json()
    return {"ran": True} | found


def _manifest(folder: Path, month: str, made_at: str) -> list[PackedFile]:
    """Write manifest.json, which names every other file with its digest."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        body = path.read_bytes()
        files.append(PackedFile(path.relative_to(folder).as_posix(), sha256(body).hexdigest(), len(body)))
    document = {"schema": SCHEMA, "month": month, "made_at": made_at, "files": [asdict(file) for file in files]}
    _write(folder / "manifest.json", _json(document))
    return files


def _zip(folder: Path, target: Path) -> None:
    """One archive in which nothing depends on when, where or by whom it was packed."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as archive:
        for path in paths:
            entry = zipfile.ZipInfo(path, date_time=_ZIP_TIME)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, (folder / path).read_bytes(), compresslevel=9)


def _sign(runtime: Runtime) -> None:
    """The digest is in the log either way; a refusal to sign is an incident of its own by now."""
    try:
        runtime.books.sign()
    except AuditBroken:
        return


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True, default=str, ensure_ascii=False) + "\n").encode()
