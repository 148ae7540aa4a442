"""The far end of a walk: tables as they were read, raw answers, prices, and the Dagster runs that wrote the leaves."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from necto_pipelines.failures import AuditBroken, InvalidInput
from necto_pipelines.procurement.tracing_hops import Hop, Row, read_object
from necto_pipelines.procurement.tracing_reading import SANDBOX, Reading, dicts, has_raw, stated, text
from necto_pipelines.procurement.tracing_runs import count_run


class Sources(Reading):
    """Reads what decisions and conversions were made on."""

    whole = ""
    """the order or run that is walked whole: what rests on it must not lead back to it"""

    def data(self, pin: Mapping[str, Any], choice: Mapping[str, Any], above: str = "") -> str:
        """A table as it was read: its bytes, the leaf written when it was made, what it was made from, and the answer
        that the row about the chosen provider was read from. `pin` is of a decision, or an input of another leaf;
        `above` is the run that made what rests on this."""
        asset, sha256 = text(pin.get("asset")), text(pin.get("sha256"))
        key = f"{asset}@{sha256[:16]}"
        if (known := f"data:{key}") in self.hops:
            return known
        index, event, flaw = self._made(asset, sha256, text(pin.get("leaf")))
        run = event.get("run")
        made_by = text(run.get("dagster_run_id")) if isinstance(run, dict) else ""
        below = [self.data(each, choice, made_by) for each in dicts(event.get("inputs")) if each.get("asset") != asset]
        reached = {end for hop in below for end in self.hops[hop].rests_on}
        for answer in self._answers(sha256, choice):
            if f"raw answer:{answer}" not in reached:
                below.append(self.raw("network's offers" if asset != "provider_evidence" else "evidence", answer))
        below += self._run_named(made_by) if made_by != above else []
        facts = {
            "sha256": sha256,
            "rows": text((event.get("body") or {}).get("rows")),
            "Dagster run": text(pin.get("run_id")),
            "read at": text(pin.get("observed_at")),
        }
        hop = Hop(
            "data", key, asset, stated(facts), None, self.blob(sha256), () if index is None else (index,),
            tuple(dict.fromkeys(below)), flaw=flaw, simulated=(event.get("body") or {}).get("mode") == SANDBOX,
        )  # fmt: skip
        return self.put(hop)

    def _made(self, asset: str, sha256: str, leaf_hash: str) -> tuple[int | None, dict[str, Any], str]:
        """Index and content of the leaf that was written when a table was made, and what is wrong with it.

        A table read before there were such leaves has none.
        """
        if not leaf_hash:
            return None, {}, ""
        try:
            found = self.books.leaf_with_hash("asset", asset, b64decode(leaf_hash))
        except ValueError:
            found = None
        if found is None:
            return None, {}, "the leaf that it was read by is not in the log"
        event = read_object(found[1])
        named = any(blob.get("sha256") == sha256 for blob in dicts(event.get("blobs")))
        return found[0], event, "" if named else "its leaf names other bytes"

    def _answers(self, sha256: str, choice: Mapping[str, Any]) -> list[str]:
        """Digests of the answers that a table's rows about the chosen provider, or its chosen GPU, were read from."""
        answers: dict[str, None] = {}
        for row in self.frame(sha256) if choice.get("provider") else ():
            same = "provider" in row and all(row.get(name) == choice.get(name) for name in ("network", "provider"))
            if same and row.get("gpu_key", choice.get("gpu_key")) == choice.get("gpu_key") and has_raw(row):
                answers[row["raw_sha256"]] = None
        return list(answers)

    def price(self, sha256: str) -> str:
        """The answer a price was read from; of a consensus, the answers that were counted."""
        votes = []
        try:
            tokens = read_object(self.warehouse.read_raw(sha256)).get("tokens")
        except (AuditBroken, InvalidInput):
            tokens = None
        if isinstance(tokens, dict):
            used = [vote for token in tokens.values() for vote in dicts(token.get("votes")) if vote.get("used")]
            votes = [
                self.raw(f"price by {text(vote.get('publisher'))}", vote["raw_sha256"])
                for vote in used
                if has_raw(vote)
            ]
        return self.raw("price", sha256, below=tuple(dict.fromkeys(votes)))

    def run_of(self, row: Row) -> list[str]:
        """The run that wrote the newest leaf about a row."""
        leaves = self.books.leaves(row.table, row.key)
        run = read_object(leaves[-1][1]).get("run") if leaves else None
        return self._run_named(text(run.get("dagster_run_id")) if isinstance(run, dict) else "")

    def _run_named(self, key: str) -> list[str]:
        if key in ("", self.whole) or not self.knows("run", key):
            return []
        return [f"run:{key}" if f"run:{key}" in self.hops else self.run(key, [], whole=False)]

    def run(self, key: str, below: list[str], *, whole: bool) -> str:
        counted = count_run(key, self.books.leaves("run", key))
        for seal in counted.seals:
            below = [*below, self.add("seal", self.row("run_seals", seal), "Dagster's events sealed", {})]
        leaves = counted.leaves if whole else counted.manifest
        hop = Hop(
            "run", key, counted.job or "run", stated(counted.facts), None, None, leaves, tuple(below),
            flaw=counted.flaw, pending=counted.pending,
        )  # fmt: skip
        return self.put(hop)
