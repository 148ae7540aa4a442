"""No check of the verifier can be dropped unnoticed: for each there is an export that it alone finds wrong."""

import importlib
import pkgutil

import necto_verify
import pytest
from damaged_exports import CASES

TOP_LEVEL_CHECKS = {
    f"{module.name}.{name}"
    for module in pkgutil.iter_modules(necto_verify.__path__)
    if module.name not in {"__main__", "certificates", "cms", "der", "timestamps"}
    for name, value in vars(importlib.import_module(f"necto_verify.{module.name}")).items()
    if name.startswith("check_") and value.__module__ == f"necto_verify.{module.name}"
}
"""the checks of RFC 3161 timestamps have tests of their own"""
IDS = [f"{check.partition('.')[2]}: {damage.__name__}" for check, damage, _ in CASES]


@pytest.mark.parametrize(("check", "damage", "kind"), CASES, ids=IDS)
def test_the_damage_is_found(tmp_path, check, damage, kind):
    verdict = necto_verify.verify(tmp_path / "export", **damage(tmp_path / "export"))
    assert not verdict.ok
    assert verdict.assurance is None
    assert {fault.kind for fault in verdict.faults} == {kind}


@pytest.mark.parametrize(("check", "damage", "kind"), CASES, ids=IDS)
def test_without_its_check_the_damage_passes(monkeypatch, tmp_path, check, damage, kind):
    given = damage(tmp_path / "export")
    monkeypatch.setattr(f"necto_verify.{check}", lambda *_: [])
    assert necto_verify.verify(tmp_path / "export", **given).ok


def test_every_check_has_its_case():
    cased = {check.partition(".")[2] for check, _, _ in CASES}
    assert {check.partition(".")[2] for check in TOP_LEVEL_CHECKS} == cased
