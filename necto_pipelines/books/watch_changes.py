"""Changes that the watch makes: telemetry, the health of leases, and the decision to give leases up.

What counts as failed is judged in `procurement/judging.py`; moving orders and leases stands in `order_changes.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert

from necto_pipelines.books import tables
from necto_pipelines.books.columns import legible
from necto_pipelines.books.recording import Recording, brief, columns_of
from necto_pipelines.failures import IllegalTransition, PermanentFailure
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.health import Failover, Health, LeaseHealth, Telemetry


class WatchChanges(Recording):
    """What may happen to what is known of how leases fare."""

    def record_telemetry(self, rows: Iterable[Telemetry]) -> None:
        """Keep what polls showed. It is not audited: no leaf names it, and `drop_telemetry` takes it away again.

        Of two polls of a lease in one moment, as when simulated time stands still, the later one stays.
        """
        telemetry = tables.telemetry
        for row in rows:
            same = (telemetry.c.lease_id == row.lease_id, telemetry.c.observed_at == row.observed_at)
            self._connection.execute(delete(telemetry).where(*same))
            self._connection.execute(insert(telemetry).values(columns_of(row) | {"detail": legible(row.detail)}))

    def drop_telemetry(self, before: datetime) -> None:
        """Take away what was observed before that moment."""
        self._connection.execute(delete(tables.telemetry).where(tables.telemetry.c.observed_at < before))

    def record_health(self, now: LeaseHealth) -> None:
        """Write down that a lease's health has changed; the leaf `lease.health` says from what to what, and since when.

        The same health again changes nothing. Raises IllegalTransition for a lease that has ended already.
        """
        before = self.reads.health(now.lease_id)
        if before is not None and before.health is now.health:
            return
        if before is not None and before.health is Health.ENDED:
            raise IllegalTransition(f"lease {now.lease_id} has ended; it cannot become {now.health}")
        lease = self.reads.lease(now.lease_id)
        values = columns_of(now) | {"detail": legible(now.detail)}
        if before is None:
            row = self._insert(tables.lease_health, values)
        else:
            row = self._update(tables.lease_health, now.lease_id, values)
        body: dict[str, Any] = {
            "old": before.health if before else Health.UNKNOWN,
            "new": now.health,
            "since": rfc3339(now.since),
            "healthy_seconds": now.healthy_seconds,
        }
        if now.detail:
            body["detail"] = brief(values["detail"])
        self._leaf("lease.health", {"order": lease.order_id, "lease": lease.id}, body, rows=[row])

    def record_failovers(self, decided: Sequence[Failover], inputs: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write down one joint decision to give up leases; the leaf `failover.decided` names all of them.

        Raises PermanentFailure when one of them was given up before, or when they are of several decisions.
        """
        if len({failover.failover_id for failover in decided}) != 1:
            raise PermanentFailure("leases are given up together under one failover id, and there must be one at least")
        rows = []
        for failover in decided:
            if self.reads.failover(failover.lease_id):
                raise PermanentFailure(f"lease {failover.lease_id} was given up before")
            rows.append(self._insert(tables.failovers, columns_of(failover) | {"reason": legible(failover.reason)}))
        causes = [failover.cause for failover in decided]
        body = {
            "leases": len(decided),
            "networks": ",".join(sorted({failover.network for failover in decided})),
            "causes": ",".join(f"{cause}:{causes.count(cause)}" for cause in sorted(set(causes))),
        }
        self._leaf("failover.decided", {"failover": decided[0].failover_id}, body, rows=rows, inputs=inputs)
