"""The command necto-verify: arguments, exit codes, what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from damaged_exports import run_log
from export_builder import KEY, Log, leaves, policy_of, put, tile_path
from necto_verify.cli import main

VERIFIER = Path(__file__).parents[3] / "verifier"


@pytest.fixture
def folder(tmp_path):
    return run_log().write(tmp_path / "export", [2], policy_of(KEY))


@pytest.mark.parametrize(
    ("further", "code"),
    [
        ([], 0),
        (["--require", "self-consistent"], 0),
        (["--require", "consistent-with"], 3),
        (["--require", "complete"], 3),
        (["--checkpoint", "{}/checkpoint.2", "--require", "consistent-with"], 0),
        (["--checkpoint", "{}", "--require", "consistent-with"], 0),
        (["--checkpoint", "{}/nothing"], 2),
        (["--checkpoint", "{}/tile"], 2),
        (["--vkey", KEY.vkey], 0),
        (["--vkey", "{}/vkey"], 0),
        (["--vkey", "{}/checkpoint"], 2),
        (["--vkey", "nonsense"], 2),
        (["--policy", "{}/policy.json"], 0),
        (["--policy", "{}/vkey"], 2),
        (["--policy", "{}/nothing"], 2),
        (["--tolerance-s", "0", "--thorough", "--workers", "2", "--json"], 0),
    ],
)
def test_exit_codes_of_a_sound_export(folder, capsys, further, code):
    assert main([str(folder), *(argument.format(folder) for argument in further)]) == code
    printed = capsys.readouterr()
    assert bool(printed.err) == (code == 2)
    assert bool(printed.out) == (code != 2)


@pytest.mark.parametrize(
    "arguments", [[], ["--require", "certain", "x"], ["--tolerance-s", "-1", "x"], ["--workers", "0", "x"]]
)
def test_arguments_that_are_not_allowed(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_no_folder(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_folder_without_an_export(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path), "--vkey", KEY.vkey]) == 1
    assert "checkpoint is missing" in capsys.readouterr().out


def test_faults_come_first(folder, capsys):
    file = folder / tile_path("entries", 0, 4)
    file.write_bytes(file.read_bytes().replace(b"3.125", b"9.125", 1))
    assert main([str(folder)]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("NOT VERIFIED")
    assert second.startswith("  leaf_hash at entry 1: ")
    assert main([str(folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["assurance"]) == (False, None)
    assert (found["first_bad_entry"], found["first_bad_kind"]) == (1, "leaf_hash")


def test_quiet_says_nothing(folder, capsys):
    assert main([str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_export_cannot_write_to_the_terminal(tmp_path, capsys):
    log = run_log()
    log.add(run="\x1b[2J\x07", kind="run.started", body={"planned": "x"})
    log.write(tmp_path)
    assert main([str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_faults_are_bounded_in_number(tmp_path, capsys):
    log = Log(leaves(700))
    log.write(tmp_path)
    for number in range(2):
        put(tmp_path, tile_path(0, number, 256), bytes(8192))
    assert main([str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["fault_count"] == 513
    assert len(found["faults"]) == 202
    assert found["faults"][-1]["kind"] == "further"


def test_it_runs_as_a_module_with_nothing_of_necto(folder):
    program = (
        "import sys; from necto_verify.cli import main; code = main(sys.argv[1:]);"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded & {'necto_pipelines', 'dagster', 'sqlalchemy', 'httpx', 'sqlite3', 'pydantic'}, loaded;"
        "sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(VERIFIER)}
    for command in ([sys.executable, "-c", program], [sys.executable, "-m", "necto_verify"]):
        done = subprocess.run(
            [*command, str(folder)], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("verified: 4 entries")


def test_no_line_of_necto_is_imported():
    for file in (VERIFIER / "necto_verify").glob("*.py"):
        assert "necto_pipelines" not in file.read_text()
