"""Whatever a person gets wrong: one clear line for each fault, exit code 2, and nothing stored."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from support.necto_command import Said, necto, order_text, write_order

from necto_pipelines.books.books import Books

pytestmark = pytest.mark.usefixtures("home")

GOOD = """\
name: finetune
cost_centre: research
budget_usd: 20
requirement:
  gpu: {model: H100}
  hours: 4
"""


@pytest.fixture
def submit(home: Path, tmp_path: Path, books_of_home: Books):
    """Submit a text; sees to it that a refused one left nothing behind."""

    def submitted(text: str | bytes) -> Said:
        size = books_of_home.audit_size()
        said = necto("order", "submit", write_order(tmp_path, text), "--home", home)
        if said.code != 0:
            assert "Traceback" not in said.err + said.out
            assert said.out == ""
            assert books_of_home.orders() == []
            assert books_of_home.audit_size() == size
        return said

    return submitted


def requirement(**changes: object) -> dict[str, object]:
    return {"gpu": {"model": "H100"}, "hours": 4} | changes


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param(
            {"requirement": requirement(gpu={"model": "H1000"})},
            "invalid requirement.gpu.model: 'H1000' is not allowed; name a known GPU such as H100, V100, P100, H200"
            " (`necto offers` lists them)",
            id="unknown GPU",
        ),
        pytest.param(
            {"requirement": requirement(gpu={"count": 2})},
            "invalid requirement.gpu: {'count': '2'} is not allowed; name a model, or the least memory of a GPU as"
            " min_vram_gib, or both",
            id="any GPU at all",
        ),
        pytest.param(
            {"requirement": requirement(gpu={"model": "H100", "count": 1.5})},
            "invalid requirement.gpu.count: '1.5' is not allowed; write a whole number",
            id="part of a GPU",
        ),
        pytest.param(
            {"requirement": requirement(gpu={"model": "H100", "count": True})},
            "invalid requirement.gpu.count: 'true' is not allowed; write a whole number",
            id="boolean for a number",
        ),
        pytest.param(
            {"requirement": requirement(gpu={"model": "H100", "count": 10**20})},
            "invalid requirement.gpu.count: '100000000000000000000' is not allowed; it must be less than or equal to"
            " 64",
            id="too many GPUs",
        ),
        pytest.param(
            {"requirement": requirement(hours=-1)},
            "invalid requirement.hours: '-1' is not allowed; it must be greater than 0",
            id="negative hours",
        ),
        pytest.param(
            {"requirement": requirement(hours="4:30")},
            "invalid requirement.hours: '4:30' is not allowed; write a number such as 4 or 2.5",
            id="hours as a time of day",
        ),
        pytest.param(
            {"requirement": requirement(countries=["DE", "XX"])},
            "invalid requirement.countries.1: 'XX' is not allowed; use an ISO 3166-1 alpha-2 code such as DE, NL or US",
            id="unknown country",
        ),
        pytest.param(
            {"requirement": requirement(countries="DE")},
            "invalid requirement.countries: 'DE' is not allowed; write a list, for example [DE, NL]",
            id="text for a list",
        ),
        pytest.param(
            {"requirement": "one H100"},
            "invalid requirement: 'one H100' is not allowed; write its fields as a mapping",
            id="text for a mapping",
        ),
        pytest.param(
            {"requirement": requirement(gpus=1)},
            "invalid requirement.gpus: '1' is not allowed; no such field; there are gpu, cpu_cores, memory_gib,"
            " disk_gib, hours, countries, interruptible, image, port",
            id="unknown field",
        ),
        pytest.param(
            {"budget_usd": 2000},
            "invalid budget_usd: '2000' is not allowed; at most 100 is left in cost centre research",
            id="over budget",
        ),
        pytest.param(
            {"cost_centre": "marketing"},
            "invalid cost_centre: 'marketing' is not allowed; cost centres with a budget are: research",
            id="unknown cost centre",
        ),
        pytest.param(
            {"cost_centre": "Mar keting"},
            "invalid cost_centre: 'Mar keting' is not allowed; 1 to 63 lower-case letters, digits, - and _,"
            " beginning with a letter or digit",
            id="bad cost centre",
        ),
        pytest.param({"cost_centre": None}, "invalid cost_centre: missing; this field is needed", id="missing field"),
        pytest.param(
            {"deadline": "2020-01-01T00:00:00Z"},
            "invalid deadline: '2020-01-01T00:00:00.000000Z' is not allowed; it must be later than now, ",
            id="deadline in the past",
        ),
        pytest.param(
            {"deadline": "tomorrow"},
            "invalid deadline: 'tomorrow' is not allowed; write a moment with its offset from UTC, for example"
            " 2026-11-30T18:00:00Z",
            id="no moment",
        ),
        pytest.param(
            {"deadline": "2030-02-30"},
            "invalid deadline: '2030-02-30' is not allowed; write a moment with its offset from UTC, for example"
            " 2026-11-30T18:00:00Z",
            id="no day of the calendar",
        ),
        pytest.param(
            {"policy": {"min_score": 101}},
            "invalid policy.min_score: '101' is not allowed; it must be less than or equal to 100",
            id="score beyond its scale",
        ),
        pytest.param(
            {"name": "a\nb\u001b[31m"},
            r"invalid name: 'a\nb\x1b[31m' is not allowed; write one line of text without control characters",
            id="terminal codes in a name",
        ),
        pytest.param(
            {"name": "n" * 121},
            f"invalid name: '{'n' * 57}...{'n' * 58}' is not allowed; it must have at most 120 characters",
            id="long name",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(submit, changes: dict, complaint: str) -> None:
    said = submit(order_text(**changes))
    assert said.code == 2
    assert len(said.complaints) == 1
    assert said.complaints[0].startswith(complaint)


@pytest.mark.parametrize("field", ["budget_usd", "hours"])
@pytest.mark.parametrize(
    "value",
    [".nan", ".inf", "-.inf", "nan", "sNaN", "Infinity", "1e400", "1e999999999", "1e-999999", "9" * 5000, "''", "[1]"],
)
def test_what_is_no_sensible_number_is_no_amount(submit, field: str, value: str) -> None:
    old = {"budget_usd": "budget_usd: 20", "hours": "hours: 4"}[field]
    said = submit(GOOD.replace(old, f"{field}: {value}"))
    assert said.code == 2
    assert len(said.complaints) == 1
    assert f"{field}: " in said.err
    assert len(said.err) < 300


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            GOOD + "  countries: [DE\nname: x\n",
            "invalid line 8, column 5: 'name: x' is not allowed; write valid YAML: ",
            id="broken",
        ),
        pytest.param(GOOD + "\tx: 1\n", "invalid line 7, column 1: '\\tx: 1' is not allowed; write valid", id="tab"),
        pytest.param(
            GOOD + "budget_usd: 90\n",
            "invalid line 7, column 1: 'budget_usd: 90' is not allowed; write valid YAML: the field budget_usd is"
            " given twice",
            id="a field twice",
        ),
        pytest.param(
            "!!python/object/apply:os.system ['true']",
            "invalid line 1, column 1: \"!!python/object/apply:os.system ['true']\" is not allowed; write valid YAML",
            id="a program",
        ),
        pytest.param("", "invalid file: 'nothing' is not allowed; an order is a mapping of fields", id="empty"),
        pytest.param("- DE\n", "invalid file: ['DE'] is not allowed; an order is a mapping", id="a list"),
        pytest.param("[" * 5000, "invalid file: '[[[", id="nested without end"),
        pytest.param(b"name: caf\xe9\n", r"invalid byte 9: b'\xe9\n' is not allowed; write the document", id="Latin-1"),
        pytest.param(GOOD.encode("utf-16"), "invalid byte 0: b'\\xff\\xfe", id="UTF-16"),
        pytest.param(bytes(range(256)), "invalid byte 128: b'\\x80", id="binary"),
        pytest.param(b"name: a\0b", "invalid character 7: ", id="a NUL"),
        pytest.param(b"x" * 70_000, "invalid file: 'more than 65536 bytes' is not allowed", id="a giant"),
    ],
)
def test_a_document_that_cannot_be_read_is_one_line_with_its_place(submit, text: str | bytes, complaint: str) -> None:
    said = submit(text)
    assert said.code == 2
    assert len(said.complaints) == 1
    assert said.complaints[0].startswith(complaint)


def test_every_fault_of_a_document_is_told_at_once_in_the_order_of_its_fields(submit) -> None:
    said = submit(order_text(name="", cost_centre=None, budget_usd=-5, requirement=requirement(hours=0), colour="red"))
    assert said.code == 2
    fields = [line.split()[1].rstrip(":") for line in said.complaints]
    assert fields == ["name", "cost_centre", "budget_usd", "requirement.hours", "colour"]


def test_a_document_that_repeats_itself_without_end_is_told_in_short(submit) -> None:
    levels = "".join(f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n" for below, name in pairwise("abcdefghi"))
    said = submit("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + levels)
    assert said.code == 2
    assert len(said.err) < 8000


def test_a_folder_or_a_missing_file_is_no_order(home: Path, tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "nosuch.yaml", "No such file or directory")):
        said = necto("order", "submit", path, "--home", home)
        assert said.code == 2
        assert said.complaints == [
            f"invalid file: '{path}' is not allowed; name a file that can be read, or - for standard input ({why})"
        ]


@pytest.mark.parametrize(
    ("written", "countries"), [("[NO, SE]", ("NO", "SE")), ("[no]", ("NO",)), ("[Norway]", ("NO",)), ("[]", ())]
)
def test_norway_is_a_country_and_not_a_no(submit, books_of_home: Books, written: str, countries: tuple) -> None:
    assert submit(GOOD + f"  countries: {written}\n").code == 0
    assert books_of_home.orders()[0].request.requirement.countries == countries


@pytest.mark.parametrize(
    ("written", "usd"), [("20.00", "20.00"), ("010", "10"), ("1e1", "10"), ("0.1", "0.1"), ("19.99", "19.99")]
)
def test_an_amount_is_read_as_it_is_written(submit, books_of_home: Books, written: str, usd: str) -> None:
    assert submit(GOOD.replace("budget_usd: 20", f"budget_usd: {written}")).code == 0
    assert books_of_home.orders()[0].request.budget_usd == Decimal(usd)


def test_an_order_may_come_through_standard_input(home: Path, books_of_home: Books) -> None:
    said = necto("order", "submit", "-", "--home", home, "--json", stdin=GOOD.encode())
    assert said.code == 0
    assert said.json["id"] == books_of_home.orders()[0].id
    assert necto("order", "submit", "-", "--home", home, stdin=b"\xff").code == 2


@pytest.mark.parametrize("name", ["[/]", "[red]a[/red]", r"\[/]", "a [b] c"])
def test_a_name_with_brackets_is_shown_as_it_is(submit, home: Path, books_of_home: Books, name: str) -> None:
    said = submit(order_text(name=name))
    assert name in said.out
    assert name in necto("order", "list", "--home", home).out
    assert name in necto("order", "show", books_of_home.orders()[0].id, "--home", home).out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["order", "show", "ord_x"], "invalid order: 'ord_x' is not allowed; the books hold no such order"),
        (["order", "cancel", "ord_x"], "invalid order: 'ord_x' is not allowed; the books hold no such order"),
        (["lease", "close", "lse_x"], "invalid lease: 'lse_x' is not allowed; the books hold no such lease"),
        (["invoice", "export", "N-1"], "invalid invoice: 'N-1' is not allowed; the books hold no such invoice"),
        (["audit", "trace", "N-1"], "invalid id: 'N-1' is not allowed; name an invoice (`necto invoice list`), a line"),
        (["audit", "pack", "2026-13"], "invalid month: '2026-13' is not allowed; write a month as YYYY-MM"),
        (["audit", "prove", "999"], "invalid index: 999 is not allowed; the log has 2 leaves, counted from 0"),
        (["invoice", "list", "--month", "2026-13"], "invalid month: '2026-13' is not allowed; write a month as"),
        (["invoice", "issue", "2026-1"], "invalid month: '2026-1' is not allowed; write a month as YYYY-MM"),
        (["invoice", "issue", "٢٠٢٦-١١"], "invalid month: '٢٠٢٦-١١' is not allowed; write a month as YYYY-MM"),
        (["budget", "set", "research", "-5"], "invalid usd: '-5' is not allowed; write an amount from 0 to"),
        (["budget", "set", "research", "nan"], "invalid usd: 'nan' is not allowed; write an amount from 0 to"),
        (["budget", "set", "research", "1e999999"], "invalid usd: '1e999999' is not allowed; write an amount"),
        (["budget", "set", "research", "0.001"], "invalid usd: '0.001' is not allowed; write an amount from 0 to"),
        (["budget", "set", "research", "$5"], "invalid usd: '$5' is not allowed; write an amount from 0 to"),
        (["budget", "set", "Mar keting", "5"], "invalid cost_centre: 'Mar keting' is not allowed; 1 to 63 lower-case"),
        (["budget", "set", "", "5"], "invalid cost_centre: '' is not allowed; 1 to 63 lower-case letters"),
        (["offers", "--gpu", "H1000"], "invalid gpu: 'H1000' is not allowed; name a known GPU such as H100"),
        (["offers", "--country", "DE,XX"], "invalid country: 'XX' is not allowed; use an ISO 3166-1 alpha-2 code"),
        (["compare", "--gpu", "[/]"], "invalid gpu: '[/]' is not allowed; name a known GPU such as"),
    ],
)
def test_what_a_command_is_given_wrongly_is_one_line(
    home: Path, books_of_home: Books, arguments: list[str], complaint: str
) -> None:
    size = books_of_home.audit_size()
    said = necto(*arguments, "--home", home)
    assert said.code == 2
    assert len(said.complaints) == 1
    assert said.complaints[0].startswith(complaint)
    assert books_of_home.audit_size() == size
    assert [str(budget.limit_usd) for budget in books_of_home.budgets()] == ["100"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["up", "--port", "99999"], "--port"),
        (["sandbox", "serve", "--port", "0"], "--port"),
        (["sandbox", "clock", "--speed", "nan"], "--speed"),
        (["sandbox", "clock", "--advance-hours", "inf"], "--advance-hours"),
        (["sandbox", "clock", "--advance-hours", "-1"], "--advance-hours"),
        (["offers", "--min-vram", "0"], "--min-vram"),
        (["order", "list", "--state", "lost"], "--state"),
        (["audit", "prove", "-1"], "index"),
        (["audit", "prove", "first"], "index"),
        (["order", "lsit"], "lsit"),
    ],
)
def test_an_option_out_of_range_is_named(home: Path, arguments: list[str], wrong: str) -> None:
    said = necto(*arguments, "--home", home)
    assert said.code == 2
    assert wrong in said.err


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = necto("order", "list", "--home", tmp_path / "file")
    assert said.code == 2
    assert said.complaints == [
        f"invalid home: '{tmp_path / 'file'}' is not allowed; name a folder; it is made when it does not exist"
    ]


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = necto("order", "list", "--home", tmp_path / "file" / "home")
    assert said.code == 1
    assert said.complaints == [f"failed {tmp_path / 'file' / 'home'}: Not a directory"]


@pytest.mark.parametrize(
    ("variable", "value"), [("NECTO_SANDBOX_PORT", "abc"), ("NECTO_BID_WAIT_S", "-1"), ("NECTO_AKASH_MODE", "mainnet")]
)
def test_a_wrong_environment_variable_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    said = necto("order", "list", "--home", home)
    assert said.code == 2
    assert len(said.complaints) == 1
    assert said.complaints[0].startswith(f"invalid {variable}: '{value}' is not allowed; ")


def test_a_database_url_is_refused_without_showing_its_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NECTO_DATABASE_URL", "mysql://necto:hunter2@host/books")
    said = necto("order", "list", "--home", home)
    assert said.code == 2
    assert said.err.startswith("invalid database_url: 'mysql' is not allowed; ")
    assert "hunter2" not in said.err


def test_books_that_are_no_database_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "books.db").write_text("these are no books " * 100)
    said = necto("order", "list", "--home", tmp_path)
    assert said.code == 1
    assert said.complaints == ["PermanentFailure the books refuse this: file is not a database"]
