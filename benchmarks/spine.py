"""`make bench`: what the spine costs, each figure as a ratio against a yardstick that was measured beside it.

python benchmarks/spine.py [--json] [--quick] [--folder DIR]

The figures of one run and how to read them: docs/reference/benchmarks.md.
"""

import argparse
import os
import tempfile
import warnings
from pathlib import Path

from measure import FULL, QUICK, Extent, Measurement, as_json, machine, show
from rich.console import Console


def main() -> None:
    """Measure, and print a table or one JSON object; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="once and little: shows that it runs, measures nothing")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(__file__).parents[1] / "build",
        help="on the disk to be measured; what is written there is removed again (default: build/)",
    )
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("NECTO_", "DAGSTER_"))]:
        del os.environ[name]
    warnings.simplefilter("ignore")  # Dagster's, about its own beta interfaces
    given.folder.mkdir(parents=True, exist_ok=True)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.folder) as folder:
        measurements = measure(Path(folder), QUICK if given.quick else FULL)
    if given.json:
        print(as_json(measurements, facts, quick=given.quick))
    else:
        show(Console(), measurements, facts)


def measure(folder: Path, extent: Extent) -> list[Measurement]:
    """Every measurement, one after the other."""
    # Imported here: after the environment has been cleared, and not before --help was answered.
    from catalog import measure_catalog
    from procuring import measure_procure
    from starting import measure_start
    from trail import measure_appends, measure_reading

    steps = {
        "catalog": lambda: measure_catalog(extent),
        "audit appends": lambda: measure_appends(folder, extent),
        "audit reading": lambda: measure_reading(folder, extent),
        "procure run": lambda: measure_procure(folder, extent),
        "start-up": lambda: measure_start(extent),
    }
    progress = Console(stderr=True)
    measurements: list[Measurement] = []
    for name, step in steps.items():
        with progress.status(f"measuring: {name}"):
            measurements += step()
    return measurements


if __name__ == "__main__":
    main()
