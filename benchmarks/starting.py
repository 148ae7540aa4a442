"""How long a person waits before the command line answers."""

import subprocess
import sys

from measure import Extent, Measurement, compare, seconds


def measure_start(extent: Extent) -> list[Measurement]:
    """`necto --help`, against Python that starts and does nothing."""
    return [
        compare(
            "start_up",
            "necto --help",
            lambda: seconds(lambda: run("-m", "necto_pipelines.cli", "--help")),
            "python -c pass",
            lambda: seconds(lambda: run("-c", "pass")),
            unit="s",
            repetitions=extent.starts,
        )
    ]


def run(*arguments: str) -> None:
    """Run this Python with `arguments` to its end."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
