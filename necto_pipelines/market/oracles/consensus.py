"""The oracle that payments use: asks every source at once and keeps what each said beside what they agree on.

A listing holds the agreed price of each token first, then every source's price, used or not and why. The agreed rows
are read from a document of ours that is kept like any raw answer: it names each vote with its value, source, time and
the digest of the answer it was read from, and the limits applied. The rule itself stands in `voting.py`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer, side_by_side
from necto_pipelines.market.oracles.peg import PEG_DEVIATION_BPS, PEG_PUBLISHERS, PEGGED
from necto_pipelines.market.oracles.port import PriceSource
from necto_pipelines.market.oracles.voting import Outcome, Rules, Vote, agree
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock, rfc3339
from necto_pipelines.model.money import plain
from necto_pipelines.model.offer import TokenPrice

VOTES_URL: Final = "necto:token-price-votes"
"""where the document of votes comes from: nowhere outside"""

Heard = tuple[PriceSource, Listing[TokenPrice]]


class Consensus:
    """Several price sources as one oracle. `rules` hold for every token; a pegged one is held to its peg's as well."""

    def __init__(self, sources: Sequence[PriceSource], clock: Clock, rules: Rules) -> None:
        modes = {source.mode for source in sources}
        if len(modes) != 1:
            raise ValueError(f"sources of modes {sorted(modes)} are not allowed; use at least one, all of one mode")
        self.mode = modes.pop()
        self._sources = tuple(sources)
        self._clock = clock
        self._rules = rules

    def prices(self, tokens: Sequence[str]) -> Listing[TokenPrice]:
        """As `PriceOracle.prices`. `Unavailable` only when no source that was asked answered at all.

        A consensus row is `published_at` the oldest price it rests on, so it grows stale with the first of them; its
        `source` names them all. A token they do not agree on has no such row and is quarantined with the reason.
        """
        tokens = tuple(dict.fromkeys(tokens))
        heard, aside = self._ask(tokens)
        now = self._clock.now()
        votes = [Vote(source.name, source.publisher, row) for source, listing in heard for row in listing.rows]
        outcomes = {
            token: agree((vote for vote in votes if vote.price.token == token), now=now, rules=self._rules_of(token))
            for token in tokens
        }
        document = raw_answer(VOTES_URL, self._document(outcomes, aside, now), self._clock)
        agreed = [row for token, outcome in outcomes.items() for row in self._agreed(token, outcome, document)]
        said = [vote.price for outcome in outcomes.values() for vote in outcome.votes]
        refused = [(token, outcome.refusal) for token, outcome in outcomes.items() if outcome.refusal]
        return Listing(
            rows=(*agreed, *said),
            raw=(*(answer for _, listing in heard for answer in listing.raw), document),
            quarantined=(*refused, *aside),
        )

    def _ask(self, tokens: Sequence[str]) -> tuple[list[Heard], list[tuple[str, str]]]:
        """What the sources say of the tokens they know, and (token, reason) for whatever they do not.

        They are asked all at once: the slowest decides how long it takes.
        """
        wanted = [(source, [token for token in tokens if token in source.tokens]) for source in self._sources]
        wanted = [(source, known) for source, known in wanted if known]
        if not wanted:
            return [], []
        answers = side_by_side([partial(source.prices, known) for source, known in wanted])
        heard: list[Heard] = []
        aside: list[tuple[str, str]] = []
        failures = []
        for (source, known), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Listing):
                heard.append((source, answer))
                aside += answer.quarantined
            else:
                failures.append(f"{source.name}: {answer}")
                aside += [(token, f"{source.name}: {answer}") for token in known]
        if not heard:
            raise Unavailable(f"no token price source answered: {'; '.join(failures)}")
        return heard, aside

    def _agreed(self, token: str, outcome: Outcome, document: RawAnswer) -> list[TokenPrice]:
        """The consensus row, or none."""
        if outcome.usd is None or outcome.published_at is None:
            return []
        names = ", ".join(vote.source for vote in outcome.used)
        return [
            TokenPrice(
                token=token,
                usd=outcome.usd,
                published_at=outcome.published_at,
                observed_at=document.received_at,
                consensus=True,
                source=f"consensus of {names}",
                mode=self.mode,
                raw_sha256=document.sha256,
            )
        ]

    def _rules_of(self, token: str) -> Rules:
        if token not in PEGGED:
            return self._rules
        return replace(
            self._rules,
            max_deviation_bps=min(self._rules.max_deviation_bps, PEG_DEVIATION_BPS),
            min_publishers=max(self._rules.min_publishers, PEG_PUBLISHERS),
        )

    def _document(self, outcomes: dict[str, Outcome], aside: Iterable[tuple[str, str]], judged_at: datetime) -> bytes:
        """The votes as JSON with sorted keys; prices are text."""
        tokens = {
            token: {
                "usd": plain(outcome.usd) if outcome.usd is not None else None,
                "refusal": outcome.refusal,
                "limits": asdict(self._rules_of(token)),
                "votes": [_voted(vote) for vote in outcome.votes],
                "set_aside": [reason for what, reason in aside if what == token],
            }
            for token, outcome in outcomes.items()
        }
        content = {"tokens": tokens, "mode": self.mode, "judged_at": rfc3339(judged_at)}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _voted(vote: Vote) -> dict[str, Any]:
    price = vote.price
    return {
        "publisher": vote.publisher,
        "source": price.source,
        "usd": plain(price.usd),
        "confidence_usd": plain(price.confidence_usd) if price.confidence_usd is not None else None,
        "published_at": rfc3339(price.published_at),
        "observed_at": rfc3339(price.observed_at),
        "timed": price.timed,
        "used": price.used,
        "reason": price.reason,
        "raw_sha256": price.raw_sha256,
    }
