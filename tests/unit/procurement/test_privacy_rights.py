"""The rights of people, from the command down to the files: list, show, export, hold, erase, record."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.books_backends import ACTOR
from support.books_steps import give_budget
from support.raw_files import found_in
from support.samples import sample_request
from typer.testing import CliRunner

from necto_pipelines.audit.commitment import opens
from necto_pipelines.books.books import Books
from necto_pipelines.books.subject_keys import SubjectKeyFolder
from necto_pipelines.cli.privacy import app, events
from necto_pipelines.failures import InvalidInput, NectoError, Refused
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.order import Order
from necto_pipelines.procurement import privacy
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings

ADA = "Ada Lovelace <ada@example.org>"
Say = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ordered(home: Path) -> Order:
    """Two orders in a home, of two people; the one of Ada."""
    books = _books(home)
    give_budget(books)
    with books.change(ACTOR) as change:
        order = change.submit(sample_request(requested_by=ADA, name="first"))
        change.submit(sample_request(requested_by="Grace Hopper"))
    books.close()
    return order


@pytest.fixture
def necto(home: Path) -> Say:
    """`necto privacy …` in that home; what it prints, when its exit code is as expected."""

    def say(*arguments: str, code: int = 0, typed: str = "") -> str:
        said = CliRunner().invoke(app, [*arguments, "--home", str(home)], input=typed)
        if isinstance(said.exception, NectoError):
            raise said.exception
        assert said.exit_code == code, said.output
        return said.output

    return say


def _books(home: Path) -> Books:
    return open_books(Settings(home=home), FrozenClock())


def _logged(home: Path) -> list[dict]:
    books = _books(home)
    leaves = [json.loads(entry.leaf) for entry in books.leaves()]
    books.close()
    return leaves


def _entry(home: Path, order: Order) -> int:
    return next(n for n, event in enumerate(_logged(home)) if event["subject"].get("order") == order.id)


def test_the_list_shows_pseudonyms_and_counts_and_nobodys_name(ordered: Order, necto: Say, home: Path):
    size = len(_logged(home))
    listed = json.loads(necto("list", "--json"))
    assert [person["openings"] for person in listed] == [1, 1]
    assert ordered.request.requested_by in {person["subject"] for person in listed}
    table = necto("list")
    assert all(person["subject"] in table for person in listed)
    assert "Ada" not in table
    assert "Grace" not in table
    assert len(_logged(home)) == size


def test_showing_an_entry_prints_the_value_and_is_logged_before(ordered: Order, necto: Say, home: Path):
    entry = _entry(home, ordered)
    assert necto("show", str(entry)).strip() == f"requested_by: {ADA}"
    event = _logged(home)[-1]
    assert (event["type"], event["body"]["why"], event["body"]["entries"]) == ("privacy.opened", "shown", [entry])
    assert event["actor"] == {"kind": "human", "name": "operator"}
    assert json.loads(necto("show", str(entry), "--json"))["values"] == {"requested_by": ADA}


@pytest.mark.parametrize(("entry", "why"), [("0", "commits to no personal data"), ("99", "the log has 4 entries")])
def test_an_entry_without_personal_data_is_an_input_error(ordered: Order, necto: Say, entry: str, why: str):
    with pytest.raises(InvalidInput, match=why):
        necto("show", entry)


def test_an_export_hands_over_everything_with_purpose_ground_and_time(ordered: Order, necto: Say, home: Path):
    entry = _entry(home, ordered)
    necto("show", str(entry))
    found = json.loads(necto("export", ADA.upper()))
    (held,) = found["held"]
    assert held == {
        "entry": entry,
        "event": "order.submitted",
        "about": {"order": ordered.id},
        "at": "2026-11-22T12:00:00.000000Z",
        "label": "requested_by",
        "value": ADA,
        "says": "who asked for the order, as written in the order document",
        "purpose": "buy computing capacity that an order asks for, and account for the choice",
        "basis": "art6.1f: a legitimate interest of the controller",
        "kept_until": "2029-01-01T00:00:00.000000Z",
    }
    assert [access["why"] for access in found["accesses"]] == ["shown", "subject_access"]
    assert json.loads(necto("export", found["in_leaves"]))["held"] == [held]
    assert json.loads(necto("export", "Nobody"))["held"] == []


def test_an_export_names_plain_texts_of_an_older_version_too(ordered: Order, necto: Say, home: Path):
    books = _books(home)
    with books.change(ACTOR) as change:
        change._connection.exec_driver_sql(
            f"UPDATE requesters SET requested_by = 'ada' WHERE order_id = '{ordered.id}'"
        )
    books.close()
    (held,) = json.loads(necto("export", "Ada"))["held"]
    assert (held["entry"], held["value"], held["about"]) == (None, "ada", {"order": ordered.id})


def test_what_is_disclosed_for_an_export_opens_the_commitments_and_is_logged(ordered: Order, home: Path):
    books, entry = _books(home), _entry(home, ordered)
    found = privacy.disclosures(books, [0, entry], ACTOR)
    event = json.loads(books.leaves(entry, entry + 1)[0].leaf)
    last = json.loads(books.leaves()[-1].leaf)
    books.close()
    assert list(found) == [entry]
    opening = found[entry]["requested_by"]
    assert set(opening) == {"salt", "value"}
    assert opens(event["commit"]["requested_by"], _bytes(opening["salt"]), "requested_by", opening["value"])
    assert (last["type"], last["body"]["why"]) == ("privacy.opened", "disclosed")


def _bytes(text: str) -> bytes:
    from base64 import b64decode

    return b64decode(text, validate=True)


def test_erasing_asks_first_and_tells_what_it_did(ordered: Order, necto: Say, home: Path):
    size = len(_logged(home))
    assert "Aborted" in necto("erase", ADA, "--basis", "art17.1a", code=1, typed="n\n")
    assert len(_logged(home)) == size
    assert "erased the openings of 1 entries; logged as entry 4" in necto(
        "erase", ADA, "--basis", "art17.1c", code=0, typed="y\n"
    )
    assert necto("show", str(_entry(home, ordered))).strip() == "requested_by: erased"
    assert "nothing is held" in necto("erase", ADA, "--basis", "art17.1a", "--yes")
    assert found_in([home], [ADA.encode()]) == []
    books = _books(home)
    assert books.verify().ok
    books.close()


def test_a_claim_holds_the_data_until_it_is_over(ordered: Order, necto: Say, home: Path):
    assert necto("hold", ADA, "--claim", "case-7").strip() == "held for case-7"
    assert "case-7" in necto("list")
    with pytest.raises(Refused, match=r"case-7 \(article 17\(3\)\(e\)\)"):
        necto("erase", ADA, "--basis", "art17.1a", "--yes")
    with pytest.raises(NectoError, match="reference"):
        necto("hold", "Grace Hopper", "--claim", "Case of Grace Hopper")
    necto("free", ADA)
    necto("erase", ADA, "--basis", "art17.1a", "--yes")


def test_files_that_could_not_be_cleared_are_told_and_the_exit_code_says_so(
    ordered: Order, necto: Say, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("necto_pipelines.books.engine.LOCK_WAIT_S", 1)
    reader = _books(home)
    with reader.people() as people:
        people.all()
        said = necto("erase", ADA, "--basis", "art17.1a", "--yes", code=1)
    reader.close()
    assert "erased the openings of 1 entries" in said
    assert SubjectKeyFolder(home / "keys").key(ordered.request.requested_by) is None
    assert "nothing is held" in necto("erase", ADA, "--basis", "art17.1a", "--yes")


def test_the_record_of_processing_is_for_people_and_programs():
    table = CliRunner().invoke(app, ["record"]).output
    assert "requested_by: who asked for the order" in table
    assert "art6.1f" in table
    document = json.loads(CliRunner().invoke(app, ["record", "--json"]).output)
    assert [activity["name"] for activity in document["activities"]] == [
        "procurement",
        "billing",
        "operations",
        "assurance",
        "privacy",
    ]


def test_the_registry_is_listed_for_people_and_programs(capsys: pytest.CaptureFixture):
    events()
    assert re.search(r"order\.submitted +An order was taken in\. +order-6y +art6\.1b", capsys.readouterr().out)
    events(json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["types"]["order.submitted"]["schema"]["properties"]["body"]["additionalProperties"] is False
    events(markdown=True)
    assert capsys.readouterr().out.startswith("# Events of the audit trail")
