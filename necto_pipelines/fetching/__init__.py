"""The one HTTP client: how often a source is asked, what is asked again, what an answer must be to count as one.

    answers.py        an answer's bytes, their digest, and reading them as JSON
    budget.py         how often one source may be asked, by the whole process
    unpacking.py      bodies as they come, never larger than allowed
    revalidation.py   answers kept to ask the source whether they still hold
    asking.py         the calls themselves, asynchronous
    loop.py           the event loop they run on
    fetcher.py        the face of it for adapters that ask one thing at a time
    together.py       several adapters asked side by side

What is asked and what it means belongs to the adapters in `networks` and `market`.
"""

from necto_pipelines.fetching.answers import raw_answer, read_json, wrong_shape
from necto_pipelines.fetching.asking import MAX_BODY_BYTES, RETRYABLE_STATUS, Get
from necto_pipelines.fetching.budget import DEFAULT_BUDGET, Budget
from necto_pipelines.fetching.fetcher import Fetcher
from necto_pipelines.fetching.loop import on_loop
from necto_pipelines.fetching.revalidation import AnswerFolder, AnswerStore, KeptAnswer
from necto_pipelines.fetching.together import both, side_by_side, whole

__all__ = [
    "DEFAULT_BUDGET",
    "MAX_BODY_BYTES",
    "RETRYABLE_STATUS",
    "AnswerFolder",
    "AnswerStore",
    "Budget",
    "Fetcher",
    "Get",
    "KeptAnswer",
    "both",
    "on_loop",
    "raw_answer",
    "read_json",
    "side_by_side",
    "whole",
    "wrong_shape",
]
