"""A bundle as a folder that can be checked with `sh` and OpenSSL alone.

bundle.json  report.html  README.txt  verify.sh  checkpoint  vkey
leaves/<INDEX>.json            the exact bytes of an entry
proofs/<INDEX>.tlog-proof      C2SP tlog-proof, each to the one checkpoint
rows/<TABLE>/<N>.json          canonical JSON of the rows, rows/INDEX: which leaf names each
blobs/<SHA256>                 raw answers and tables, byte for byte
anchors/<SIZE>.checkpoint, anchors/<SIZE>.<N>.tsr   what was put elsewhere, and an authority's stamps on it
"""

from base64 import b64decode
from importlib.resources import files
from pathlib import Path
from typing import Final

from necto_pipelines.procurement.proof_records import Bundle
from necto_pipelines.procurement.trace_report import report_html
from necto_pipelines.procurement.tracing_hops import Kept
from necto_pipelines.warehouse.warehouse import Warehouse

_TEMPLATES: Final = files("necto_pipelines.procurement") / "templates"


def write_bundle(bundle: Bundle, warehouse: Warehouse, folder: Path) -> None:
    """Write the bundle and the bytes it names into `folder`, which is made."""
    for name, body in bundle_files(bundle, warehouse).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def bundle_files(bundle: Bundle, warehouse: Warehouse, *, blobs: bool = True) -> dict[str, bytes]:
    """Relative path -> content of every file of the folder. What was lost or changed is not among the `blobs`."""
    made = {
        "bundle.json": (bundle.model_dump_json(indent=1) + "\n").encode(),
        "report.html": report_html(bundle).encode(),
        "verify.sh": (_TEMPLATES / "verify-bundle.sh").read_bytes(),
        "README.txt": (_TEMPLATES / "bundle-readme.txt").read_bytes(),
        "checkpoint": bundle.log.checkpoint.encode(),
        "vkey": f"{bundle.log.vkey}\n".encode(),
        "policy.json": bundle.log.policy.encode(),
        "lost": "".join(f"{hop.id}: {hop.why}\n" for hop in bundle.failed).encode(),
    }
    for leaf in bundle.leaves:
        made[f"leaves/{leaf.index}.json"] = b64decode(leaf.leaf)
        made[f"proofs/{leaf.index}.tlog-proof"] = leaf.proof.encode()
    made |= _rows(bundle)
    made |= _anchors(bundle)
    if blobs:
        kept = {hop.blob.sha256 for hop in bundle.hops if hop.blob and hop.blob.kept is Kept.WHOLE}
        made |= {f"blobs/{sha256}": warehouse.read_bytes(sha256) for sha256 in sorted(kept)}
    return dict(sorted(made.items()))


def _rows(bundle: Bundle) -> dict[str, bytes]:
    """Rows by the number of their hop, for keys may hold what a file name may not; and which leaf names each."""
    made, index = {}, []
    for number, hop in enumerate(bundle.hops):
        if hop.row and hop.row.text is not None and hop.leaf is not None:
            path = f"rows/{hop.row.table}/{number}.json"
            made[path] = b64decode(hop.row.text)
            index.append(f"{path} leaves/{hop.leaf}.json\n")
    return made | {"rows/INDEX": "".join(index).encode()}


def _anchors(bundle: Bundle) -> dict[str, bytes]:
    made = {}
    for number, anchor in enumerate(bundle.anchors):
        if anchor.checkpoint:
            made[f"anchors/{anchor.size}.checkpoint"] = anchor.checkpoint.encode()
        if anchor.token:
            made[f"anchors/{anchor.size}.{number}.tsr"] = b64decode(anchor.token)
    return made
