"""Questions to a running Dagster web server over GraphQL."""

from typing import Any

import httpx

_SELECTOR = '{repositoryLocationName: "necto", repositoryName: "__repository__"}'


class DagsterApi:
    """The server at `address`, for example `http://127.0.0.1:3000`."""

    def __init__(self, address: str) -> None:
        self._graphql = f"{address}/graphql"

    def assets(self) -> dict[str, dict[str, Any]]:
        """Assets by key, each with `groupName`, `description` and `dependencyKeys`."""
        nodes = self._ask("{ assetNodes { assetKey { path } groupName description dependencyKeys { path } } }")
        return {"/".join(node["assetKey"]["path"]): node for node in nodes["assetNodes"]}

    def runs(self, job: str) -> list[dict[str, Any]]:
        """Runs of a job, newest first, each with `id` and `status`."""
        query = f'{{ runsOrError(filter: {{pipelineName: "{job}"}}) {{ ... on Runs {{ results {{ id status }} }} }} }}'
        results: list[dict[str, Any]] = self._ask(query)["runsOrError"]["results"]
        return results

    def switches(self) -> dict[str, str]:
        """Sensors and schedules by name: RUNNING or STOPPED."""
        found = self._ask(
            f"{{ sensorsOrError(repositorySelector: {_SELECTOR}) {{ ... on Sensors {{ results {{ name sensorState"
            f" {{ status }} }} }} }} schedulesOrError(repositorySelector: {_SELECTOR}) {{ ... on Schedules {{ results"
            " { name scheduleState { status } } } } }"
        )
        sensors = {row["name"]: row["sensorState"]["status"] for row in found["sensorsOrError"]["results"]}
        schedules = {row["name"]: row["scheduleState"]["status"] for row in found["schedulesOrError"]["results"]}
        return sensors | schedules

    def _ask(self, query: str) -> dict[str, Any]:
        answer = httpx.post(self._graphql, json={"query": query}, timeout=60).raise_for_status().json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data
