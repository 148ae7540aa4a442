"""Progress a person can watch: one line a step, with what it found and how long it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Note = Callable[[str], None]


class Steps:
    """Shows each step while it runs and keeps a line of it when it is done. Writes to standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Note]:
        """Run the body as a step called `title`; what it notes is shown beside it."""
        begun = time.monotonic()
        noted = ""
        with self._console.status(f"{title} …") as status:

            def note(text: str) -> None:
                nonlocal noted
                noted = escape(text)
                status.update(f"{title} … [dim]{noted}[/dim]")

            try:
                yield note
            except BaseException:
                self._console.print(f"[red]✗[/red] {title:<28} [dim]{noted}[/dim]")
                raise
        took = time.monotonic() - begun
        self._console.print(f"[green]✓[/green] {title:<28} {noted:<68} [dim]{took:5.1f} s[/dim]", soft_wrap=True)
