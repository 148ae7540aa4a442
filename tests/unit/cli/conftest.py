"""A home of its own for each test, with a budget of 100 dollars for `research`."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from necto_pipelines.books.books import Books
from necto_pipelines.cli.output import OPERATOR, opened_books
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings


@pytest.fixture(scope="session")
def budgeted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To copy, never to write to."""
    folder = tmp_path_factory.mktemp("budgeted") / "home"
    with opened_books(folder) as books, books.change(OPERATOR) as change:
        change.set_budget("research", Decimal(100))
    return folder


@pytest.fixture
def home(budgeted_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose books hold one budget and nothing else."""
    for name in ("NECTO_HOME", "NECTO_DATABASE_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Path(shutil.copytree(budgeted_home, tmp_path / "home"))


@pytest.fixture
def books_of_home(home: Path):
    """The books of that home, to look into after a command."""
    settings = Settings(home=home)
    books: Books = open_books(settings, settings.clock())
    yield books
    books.close()
