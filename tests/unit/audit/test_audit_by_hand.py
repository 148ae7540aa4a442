"""The script that docs/concepts/audit.md gives to auditors, run as it stands there: a second implementation of the
path from a leaf to a signed root whose cryptography is OpenSSL's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from audit_log_builder import ORIGIN, SIGNER, hashes, leaves, signed

from necto_pipelines.audit.merkle import inclusion_proof
from necto_pipelines.audit.note import Signer
from necto_pipelines.audit.proof import tlog_proof

DOCUMENT = Path(__file__).parents[3] / "docs" / "concepts" / "audit.md"
LOG = leaves(13)
HASHES = hashes(LOG)


def has_openssl_3() -> bool:
    openssl = shutil.which("openssl")
    if not openssl or not shutil.which("sh"):
        return False
    version = subprocess.run([openssl, "version"], capture_output=True, text=True, check=False).stdout
    return bool(re.match(r"OpenSSL ([3-9]|\d\d)\.", version))


pytestmark = pytest.mark.skipif(not has_openssl_3(), reason="needs the openssl command, version 3")


@pytest.fixture
def by_hand(tmp_path):
    """Run the document's script on a leaf, a proof and a public key."""
    [script] = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "verify-entry.sh").write_text(script)

    def run(leaf: bytes, proof: str, vkey: str = SIGNER.vkey) -> subprocess.CompletedProcess[str]:
        (tmp_path / "entry.json").write_bytes(leaf)
        (tmp_path / "entry.tlog-proof").write_text(proof)
        command = ["sh", "verify-entry.sh", "entry.json", "entry.tlog-proof", vkey]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def proof_of(index: int, size: int, **changes) -> str:
    return tlog_proof(index, inclusion_proof(HASHES[:size], index), signed(LOG, size, **changes))


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 13), (5, 8), (6, 13), (12, 13)])
def test_openssl_accepts_our_proofs_and_signatures(by_hand, index, size):
    done = by_hand(LOG[index], proof_of(index, size))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert done.stdout.endswith(f"entry {index} is in the log {ORIGIN} of {size} entries\n")


def test_openssl_accepts_a_proof_with_extra_data_and_other_signatures(by_hand):
    text = tlog_proof(6, inclusion_proof(HASHES, 6), signed(LOG, 13) + "— witness AAAAAAAA\n", b"extra")
    assert by_hand(LOG[6], text).returncode == 0


@pytest.mark.parametrize(
    ("leaf", "proof", "why"),
    [
        (LOG[7], proof_of(6, 13), "does not lead to the signed root"),
        (LOG[6].replace(b"first", b"fifth"), proof_of(6, 13), "does not lead to the signed root"),
        (LOG[6], proof_of(6, 13).replace("index 6", "index 7"), "does not lead to the signed root"),
        (LOG[6], proof_of(6, 13).replace("index 6", "index 13"), "outside the log"),
        (LOG[6], proof_of(6, 13).replace("\n13\n", "\n14\n"), "signature does not hold"),
        (LOG[6], proof_of(6, 13, origin="other.example/log"), "another log"),
        (LOG[6], proof_of(6, 13, signer=Signer.from_private_bytes(ORIGIN, bytes(32))), "signature does not hold"),
    ],
)
def test_openssl_refuses_what_we_refuse(by_hand, leaf, proof, why):
    done = by_hand(leaf, proof)
    assert done.returncode == 1
    assert why in done.stdout
