"""Amounts as SDL writes them, held as what the network counts in: millicores, bytes, units.

Source: akash-network/chain-sdk go/sdl (cpu, gpu, unit suffixes) and ts/src/sdl/sizes.ts, commit 55f1c6837f99.
"""

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtpe]?)(i?)", re.IGNORECASE)
_RAM = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE])i")
_WINDOW = re.compile(r"[1-9][0-9]*[smh]")
_PREFIXES: Final = ("", "k", "m", "g", "t", "p", "e")
_GIB: Final = 1024**3


def _millicores(value: object) -> int:
    match = None if isinstance(value, bool) else _CPU.fullmatch(str(value))
    if match is None or Decimal(match[1]) == 0:
        raise ValueError("a number of cores above zero is needed, such as 4, 0.5 or 500m")
    return _up(Decimal(match[1]) * (1 if match[2] else 1000))


def _bytes(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        raise ValueError("a size as text is needed, such as 512Mi or 64Gi")
    return _up(Decimal(match[1]) * (1024 if match[3] else 1000) ** _PREFIXES.index(match[2].lower()))


def _ram(value: object) -> str:
    """Memory of a GPU as the network writes it into the attribute: whole GiB."""
    match = _RAM.fullmatch(value) if isinstance(value, str) else None
    whole = 0 if match is None else int(Decimal(match[1]) * 1024 ** _PREFIXES.index(match[2].lower())) // _GIB
    if whole == 0:
        raise ValueError("a memory of at least 1Gi is needed, such as 80Gi")
    return f"{whole}Gi"


def _units(value: object) -> int:
    if isinstance(value, bool) or re.fullmatch(r"\d{1,6}", str(value)) is None:
        raise ValueError("a whole number of GPUs is needed, zero or more")
    return int(str(value))


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError("a number of zero or more is needed")
    return amount


def _window(value: object) -> str:
    if not isinstance(value, str) or _WINDOW.fullmatch(value) is None:
        raise ValueError("a whole number followed by s, m or h is needed, such as 24h")
    return value


def _up(exact: Decimal) -> int:
    """Whole units; a fraction of a byte or millicore counts as one."""
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


Millicores = Annotated[int, BeforeValidator(_millicores)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
GpuRam = Annotated[str, BeforeValidator(_ram)]
GpuUnits = Annotated[int, BeforeValidator(_units)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Window = Annotated[str, BeforeValidator(_window)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
