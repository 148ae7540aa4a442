"""The controls of a running sandbox's failures, called over HTTP; what they do stands in `sandbox/fault_routes.py`."""

from typing import Any

import httpx

from necto_pipelines.failures import InvalidInput, Problem, Refused, Unavailable

TIMEOUT_S = 10.0


class SandboxControl:
    """The failures of the sandbox at `url`. `Unavailable` when none listens there."""

    def __init__(self, url: str) -> None:
        self._url = url

    def faults(self) -> dict[str, Any]:
        """Failures to come as `pending`, those that stand as `standing`, each with how often it has struck."""
        return self._call("GET")

    def order(self, **fault: Any) -> None:
        """Order a failure. InvalidInput names what the sandbox does not take."""
        self._call("POST", fault)

    def calm(self) -> None:
        """End every failure."""
        self._call("DELETE")

    def _call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = httpx.request(method, f"{self._url}/sandbox/faults", json=body, timeout=TIMEOUT_S)
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(
                f"no sandbox answers at {self._url} ({error}); start one with `necto sandbox serve` or `necto up`, or"
                " name its port"
            ) from error
        if response.is_success:
            return answer
        problems = answer.get("data")
        if response.status_code == httpx.codes.BAD_REQUEST and isinstance(problems, list):
            raise InvalidInput([Problem(str(e.get("field")), e.get("value"), str(e.get("allowed"))) for e in problems])
        raise Refused(f"the sandbox at {self._url} refused: {answer.get('message')}")
