"""Files that a person names on the command line."""

import sys
from pathlib import Path

from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.procurement.order_document import MAX_BYTES


def read_document(file: Path, most: int = MAX_BYTES) -> bytes:
    """The file's bytes, or those of standard input for `-`: at most one more than `most`, so no giant is read."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(most + 1)
        with file.open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        allowed = f"name a file that can be read, or - for standard input ({error.strerror})"
        raise InvalidInput([Problem("file", str(file), allowed)]) from error
