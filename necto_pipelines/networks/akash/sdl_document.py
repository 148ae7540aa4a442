"""The shape of an SDL document (versions 2.0 and 2.1), as far as Necto writes and reads it.

Source of the format: akash-network/chain-sdk go/sdl (schema, group builder and fixtures), commit 55f1c6837f99. Fields
that the network knows but Necto has no use for (leased IPs, mounted volumes, registry credentials, HTTP options,
reclamation, confidential compute) are refused as unknown: to guess at their manifest would give a wrong hash.
Sizes are held as what the network counts in: millicores and bytes. Reading and writing belong to `sdl.py`.
"""

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtpe]?)(i?)", re.IGNORECASE)
_PREFIXES: Final = ("", "k", "m", "g", "t", "p", "e")


def _millicores(value: object) -> int:
    match = None if isinstance(value, bool) else _CPU.fullmatch(str(value))
    if match is None or Decimal(match[1]) == 0:
        raise ValueError("a number of cores above zero is needed, such as 4, 0.5 or 500m")
    return _up(Decimal(match[1]) * (1 if match[2] else 1000))


def _bytes(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a size as text is needed, such as 512Mi or 64Gi")
    base = 1024 if match[3] else 1000
    return _up(Decimal(match[1]) * base ** _PREFIXES.index(match[2].lower()))


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError("a number of zero or more is needed")
    return amount


def _up(exact: Decimal) -> int:
    """Whole units; the network rounds fractions up."""
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def _listed(value: object) -> object:
    """One volume may stand without its list."""
    return value if isinstance(value, list) else [value]


Millicores = Annotated[int, BeforeValidator(_millicores)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class To(_Part):
    """Who may reach a port: everyone, or one service."""

    everyone: bool = Field(default=False, alias="global")
    service: str = ""


class Expose(_Part):
    """A port of a service; `outside` is the port seen by others, the same one when it is not given."""

    port: Port
    outside: Port | None = Field(default=None, alias="as")
    proto: Literal["TCP", "UDP", "tcp", "udp"] = "TCP"
    accept: tuple[str, ...] = ()
    to: tuple[To, ...] = ()


class Service(_Part):
    """A container and what it is started with."""

    image: str = Field(min_length=1)
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    expose: tuple[Expose, ...] | None = None


class Cpu(_Part):
    """`units` in millicores."""

    units: Millicores


class Memory(_Part):
    """`size` in bytes."""

    size: Bytes


class Volume(_Part):
    """Scratch disk; `size` in bytes."""

    name: str = "default"
    size: Bytes


class GpuModel(_Part):
    """A model under the network's own name."""

    model: str = Field(min_length=1)
    ram: str | None = None
    interface: Literal["pcie", "sxm"] | None = None

    @property
    def attribute(self) -> str:
        """The key under which providers declare the model."""
        ram = f"/ram/{self.ram}" if self.ram else ""
        return f"vendor/nvidia/model/{self.model}{ram}" + (f"/interface/{self.interface}" if self.interface else "")


class GpuVendor(_Part):
    """The models that will do; None takes any."""

    nvidia: tuple[GpuModel, ...] | None


class GpuAttributes(_Part):
    """Which GPUs will do."""

    vendor: GpuVendor


class Gpus(_Part):
    """How many GPUs, and which."""

    units: int = Field(default=0, ge=0)
    attributes: GpuAttributes | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Gpus":
        if (self.units > 0) != (self.attributes is not None):
            raise ValueError("units above zero and attributes.vendor must be given together")
        return self

    @property
    def attribute_keys(self) -> list[str]:
        """What a provider must declare, any of them, in the network's order."""
        if self.attributes is None:
            return []
        models = self.attributes.vendor.nvidia
        return sorted(model.attribute for model in models) if models else ["vendor/nvidia/model/*"]


class Resources(_Part):
    """What one replica of a service gets."""

    cpu: Cpu
    memory: Memory
    storage: Annotated[tuple[Volume, ...], BeforeValidator(_listed)]
    gpu: Gpus = Gpus()


class Compute(_Part):
    """A named set of resources."""

    resources: Resources


class Price(_Part):
    """The most the tenant pays per block and replica."""

    denom: Literal["uakt", "uact"]
    amount: Amount


class SignedBy(_Part):
    """Auditors who must have signed the provider's attributes."""

    all_of: tuple[str, ...] = Field(default=(), alias="allOf")
    any_of: tuple[str, ...] = Field(default=(), alias="anyOf")


class PlacementProfile(_Part):
    """What is asked of a provider, and the price per compute profile."""

    attributes: dict[str, Any] = {}
    signed_by: SignedBy = Field(default=SignedBy(), alias="signedBy")
    pricing: dict[str, Price]


class Profiles(_Part):
    """Named sets of resources and of demands on providers."""

    compute: dict[str, Compute]
    placement: dict[str, PlacementProfile]


class Share(_Part):
    """How often a service runs in a placement, and with which resources."""

    profile: str
    count: int = Field(ge=1, strict=True)


class Sdl(_Part):
    """A whole document. `deployment` maps service, then placement, to its share."""

    version: Literal["2.0", "2.1"]
    services: dict[str, Service]
    profiles: Profiles
    deployment: dict[str, dict[str, Share]]
