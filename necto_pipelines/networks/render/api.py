"""Dispersed's calls, each read into the shape it answers with. What they are for belongs to `adapter.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.fetching import Fetcher, wrong_shape
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.networks.reading import read_as
from necto_pipelines.networks.render.standing import OPEN, current_run
from necto_pipelines.networks.render.wire import (
    WireJob,
    WirePage,
    WireRun,
    WireRuns,
    WireTransaction,
    WireTransactions,
)

PAGE: Final = 50
"""the most that the network gives at once"""
MAX_PAGES: Final = 40
"""a list of more is not read to its end"""


class DispersedApi:
    """The signed REST API. Raises `Refused`, `Unavailable`, and `Unknown` where something is created."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def offers(self) -> list[RawAnswer]:
        """Every page of the machines on offer."""
        return self._pages("/v1/compute/offers")

    def registry(self) -> list[RawAnswer]:
        """Every page of the cards that job specs are matched with."""
        return self._pages("/v1/gpu-registry")

    def open_jobs(self) -> list[RawAnswer]:
        """Every page of our jobs that have not ended, newest first."""
        return self._pages("/v1/jobs", {"filter[status]": ",".join(OPEN), "sort": "-created_at"})

    def create(self, job: dict[str, Any]) -> RawAnswer:
        """Post a job. NOT idempotent."""
        with _explained_refusals():
            return self._fetcher.change_once("POST", "/v1/jobs", job)

    def job(self, ref: str) -> tuple[RawAnswer, WireJob]:
        """The job now."""
        answer = self._get(f"/v1/jobs/{ref}")
        job = read_as(answer, WireJob)
        if job.uuid != ref:
            raise wrong_shape(answer, ValueError(f"asked for job {ref}, got {job.uuid}"))
        return answer, job

    def run(self, job: WireJob) -> tuple[RawAnswer, WireRun | None]:
        """The job's run on a machine; None before one is assigned."""
        answer = self._get("/v1/job-runs", {"filter[job_uuid]": job.uuid, "limit": "10", "sort": "-created_at"})
        return answer, current_run(read_as(answer, WireRuns).data, job)

    def cancel(self, ref: str, reason: str) -> None:
        """Cancel a job. A job that has ended meanwhile cannot be cancelled, and need not be."""
        try:
            with _explained_refusals():
                self._fetcher.put_again("PUT", f"/v1/jobs/{ref}/cancel", {"reason": reason})
        except Refused:
            if self.job(ref)[1].status in OPEN:
                raise

    def transactions(self, job: WireJob) -> list[WireTransaction]:
        """The ledger back to the job's creation; nothing when there is none to read, or too much of it to be sure."""
        rows: list[WireTransaction] = []
        for number in range(1, MAX_PAGES + 1):
            try:
                answer = self._get("/v1/compute/ledger/transactions", _page(number) | {"sort": "-created_at"})
            except Refused:
                return []
            try:
                page = read_as(answer, WireTransactions)
            except Unavailable:
                return []
            rows += page.data
            older = job.created_at is not None and bool(rows) and rows[-1].created_at < job.created_at
            if not page.data or len(rows) >= page.total or older:
                return rows
        return []

    def close(self) -> None:
        """Give back the connections."""
        self._fetcher.close()

    def _pages(self, path: str, params: dict[str, str] | None = None) -> list[RawAnswer]:
        pages: list[RawAnswer] = []
        seen = 0
        for number in range(1, MAX_PAGES + 1):
            pages.append(self._get(path, (params or {}) | _page(number)))
            page = read_as(pages[-1], WirePage)
            seen += len(page.data)
            if not page.data or seen >= page.total:
                return pages
        raise wrong_shape(pages[-1], ValueError(f"the list has more than {MAX_PAGES} pages"))

    def _get(self, path: str, params: dict[str, str] | None = None) -> RawAnswer:
        with _explained_refusals():
            return self._fetcher.get(path, params)


def _page(number: int) -> dict[str, str]:
    return {"limit": str(PAGE), "page": str(number)}


@contextmanager
def _explained_refusals() -> Iterator[None]:
    """Tell a refused signature in words that help."""
    try:
        yield
    except Refused as error:
        if ": HTTP 401" in str(error) or ": HTTP 403" in str(error):
            hint = "set NECTO_DISPERSED_PUBLIC_KEY and NECTO_DISPERSED_SECRET_KEY to a valid pair, and check the clock"
            raise Refused(f"{error}; {hint}", code=error.code) from error
        raise
