"""An exported log over HTTP: what the formats name, to GET and HEAD, cached for ever where it never changes."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from necto_pipelines.cli.audit_files import log_application

FILES = [
    "checkpoint",
    "checkpoint.300",
    "vkey",
    "policy.json",
    "tile/0/000",
    "tile/0/001.p/44",
    "tile/1/000.p/1",
    "tile/entries/x001/x234/067",
    "proof/7.tlog-proof",
    "anchors/300.tsa.tsr",
    "anchors/tsa.pem",
    "openings/7.json",
    ".writing/half",
    "tile/0/.000.part",
]


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    folder = tmp_path / "export"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    (tmp_path / "secret").write_text("outside")
    (folder / "vkey").unlink()
    (folder / "vkey").symlink_to(tmp_path / "secret")
    return TestClient(log_application(folder))


@pytest.mark.parametrize(
    ("path", "media_type", "lasting"),
    [
        ("checkpoint", "text/plain; charset=utf-8", False),
        ("checkpoint.300", "text/plain; charset=utf-8", True),
        ("policy.json", "application/json", False),
        ("tile/0/000", "application/octet-stream", True),
        ("tile/0/001.p/44", "application/octet-stream", True),
        ("tile/entries/x001/x234/067", "application/octet-stream", True),
        ("proof/7.tlog-proof", "text/plain; charset=utf-8", False),
        ("anchors/300.tsa.tsr", "application/timestamp-reply", True),
        ("anchors/tsa.pem", "application/x-pem-file", False),
    ],
)
def test_the_files_of_a_log_are_served(client: TestClient, path: str, media_type: str, lasting: bool):
    answer = client.get(f"/{path}")
    assert (answer.status_code, answer.text) == (200, f"content of {path}")
    assert answer.headers["content-type"] == media_type
    assert ("immutable" in answer.headers["cache-control"]) == lasting
    head = client.head(f"/{path}")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "openings/7.json",
        ".writing/half",
        "tile/0/.000.part",
        "vkey",
        "tile/0/002",
        "tile/99/000",
        "..%2fsecret",
        "tile/..%2f..%2f..%2fsecret",
        "checkpoint%00",
    ],
)
def test_nothing_else_is(client: TestClient, path: str):
    assert client.get(f"/{path}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: TestClient, method: str):
    assert client.request(method, "/checkpoint").status_code == 405
