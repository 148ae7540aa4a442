"""Entity tags: on what changes seldom, naming the bytes that are sent, and honoured."""

import pytest
from support.sandbox_app import SandboxCaller

AWS = "/clouds/aws/offers/v1.0/aws/AmazonEC2/current/region_index.json"
TAGGED = [AWS, "/clouds/azure/api/retail/prices", "/akash/v1/providers", "/akash/v1/gpu-prices"]


@pytest.mark.parametrize("path", TAGGED)
def test_whoever_holds_the_same_bytes_is_not_sent_them(sandbox: SandboxCaller, path: str) -> None:
    first = sandbox.call("GET", path)
    tag = first.headers["etag"]
    for named in (tag, f"W/{tag}", f'"other", {tag}'):
        again = sandbox.call("GET", path, headers={"if-none-match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["x-necto-simulated"] == "true"
    other = sandbox.call("GET", path, headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/akash/v1/balances", "/coingecko/api/v3/simple/price?ids=aethir&vs_currencies=usd"])
def test_what_is_of_the_moment_or_behind_a_key_has_no_tag(sandbox: SandboxCaller, path: str) -> None:
    assert "etag" not in sandbox.call("GET", path).headers


def test_a_refusal_has_no_tag(sandbox: SandboxCaller) -> None:
    refused = sandbox.call("GET", "/akash/v1/providers", params={"scope": "nobody"})
    assert refused.status_code == 400
    assert "etag" not in refused.headers


def test_a_wrong_answer_has_a_tag_of_its_own(sandbox: SandboxCaller) -> None:
    right = sandbox.call("GET", AWS).headers["etag"]
    fault = {"action": "wrong_json", "path_prefix": "/clouds/aws", "rate": "1"}
    assert sandbox.call("POST", "/sandbox/faults", json=fault).status_code < 300
    wrong = sandbox.call("GET", AWS, headers={"if-none-match": right})
    assert wrong.status_code == 200
    assert wrong.headers["etag"] != right
