"""The scripts that docs/how-to/verify-with-openssl.md gives to auditors, run as they stand there on small exports."""

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from damaged_exports import AUTHORITIES, ROOT, stamp
from export_builder import KEY, OTHER_KEY, START, Log, head, leaves, policy_of, put, tile_path

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "verify-with-openssl.md"
MANY = leaves(513)


def has_openssl_3() -> bool:
    openssl = shutil.which("openssl")
    if not openssl or not shutil.which("sh"):
        return False
    version = subprocess.run([openssl, "version"], capture_output=True, text=True, check=False).stdout
    return bool(re.match(r"OpenSSL ([3-9]|\d\d)\.", version))


pytestmark = pytest.mark.skipif(not has_openssl_3(), reason="needs the openssl command, version 3")


def test_the_page_holds_the_scripts_it_names():
    assert [name for name, _ in scripts()] == ["verify-export.sh", "verify-timestamp.sh"]


def scripts() -> list[tuple[str, str]]:
    found = re.findall(r"```sh\n(#!/bin/sh\n# usage: sh (\S+) .*?)```", PAGE.read_text(), re.DOTALL)
    return [(name, text) for text, name in found]


def run(folder: Path, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    (folder / script).write_text(dict(scripts())[script])
    return subprocess.run(
        ["sh", script, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 513])
def test_openssl_accepts_exports_of_every_shape(tmp_path, size):
    Log(MANY[:size]).write(tmp_path / "export")
    done = run(tmp_path, "verify-export.sh", "export", KEY.vkey)
    assert (done.stdout, done.stderr, done.returncode) == (
        f"verified: {size} entries of {KEY.name} lead to the signed root\n",
        "",
        0,
    )


def test_openssl_accepts_a_checkpoint_that_others_signed_too(tmp_path):
    log = Log(MANY[:3])
    log.write(tmp_path / "export")
    put(tmp_path / "export", "checkpoint", log.checkpoint(3, OTHER_KEY, KEY) + "— witness AAAAAAAA\n")
    assert run(tmp_path, "verify-export.sh", "export", KEY.vkey).returncode == 0


def edited_entry(export: Path) -> None:
    file = export / tile_path("entries", 1, 2)
    file.write_bytes(file.read_bytes().replace(b"3.125", b"9.125", 1))


def edited_entry_and_tiles(export: Path) -> None:
    entries = [*MANY[:257], MANY[0]]
    signed = (export / "checkpoint").read_bytes()
    Log(entries).write(export)
    put(export, "checkpoint", signed)


def shorter_bundle(export: Path) -> None:
    file = export / tile_path("entries", 1, 2)
    file.write_bytes(file.read_bytes()[:-3])


def entry_too_many(export: Path) -> None:
    with (export / tile_path("entries", 1, 2)).open("ab") as file:
        file.write(b"\x00\x01x")


def missing_bundle(export: Path) -> None:
    (export / tile_path("entries", 0, 256)).unlink()


def missing_tile(export: Path) -> None:
    (export / tile_path(1, 0, 1)).unlink()


def edited_tile(export: Path) -> None:
    (export / tile_path(1, 0, 1)).write_bytes(bytes(32))


def other_size(export: Path) -> None:
    file = export / "checkpoint"
    file.write_text(file.read_text().replace("\n258\n", "\n257\n"))


def other_log(export: Path) -> None:
    put(export, "checkpoint", head(258, Log(MANY[:258]).root(), origin="other.test/log"))


def other_signer(export: Path) -> None:
    put(export, "checkpoint", Log(MANY[:258]).checkpoint(258, OTHER_KEY))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (edited_entry, "level 0 of the tiles differs"),
        (edited_entry_and_tiles, "do not lead to the signed root"),
        (shorter_bundle, "ends within an entry"),
        (entry_too_many, "another number of entries"),
        (missing_bundle, "tile/entries/000 is missing"),
        (missing_tile, "tile/1/000.p/1 is missing"),
        (edited_tile, "level 1 of the tiles differs"),
        (other_size, "the signature does not hold"),
        (other_log, "of another log"),
        (other_signer, "not signed by this key"),
    ],
)
def test_openssl_refuses_what_we_refuse(tmp_path, damage, why):
    Log(MANY[:258]).write(tmp_path / "export")
    damage(tmp_path / "export")
    done = run(tmp_path, "verify-export.sh", "export", KEY.vkey)
    assert done.returncode == 1
    assert done.stdout.startswith("NOT VERIFIED: ")
    assert why in done.stdout


def test_openssl_accepts_a_timestamp_of_a_believed_authority_only(tmp_path):
    export = Log(MANY[:3]).write(tmp_path / "export", policy=policy_of(KEY, **AUTHORITIES))
    stamp(export, 3, START + timedelta(hours=1))
    put(tmp_path, "roots.pem", ROOT.pem)
    done = run(tmp_path, "verify-timestamp.sh", "export", "3", "tsa", "roots.pem")
    assert done.returncode == 0, done.stderr
    assert "Time stamp: Nov 22 11:00:00 2026 GMT" in done.stdout
    put(export, "checkpoint.3", Log(MANY[1:4]).checkpoint())
    assert run(tmp_path, "verify-timestamp.sh", "export", "3", "tsa", "roots.pem").returncode == 1
