"""The `necto` command. One module per group of commands; each command reads its inputs, calls a use case and prints.

Exit codes: 0 done, 1 the answer is no (a check failed, a proof is broken, an outside failure), 2 the input is wrong.
Dagster is imported only by the commands that need it: it takes seconds.
"""

from necto_pipelines.cli.main import main

__all__ = ["main"]
