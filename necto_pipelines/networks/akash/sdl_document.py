"""The shape of an SDL document, versions 2.0 and 2.1: every field of the network's schema, and what one part alone
must hold.

Source of the format: akash-network/chain-sdk go/sdl (sdl-input.schema.yaml and the reader), commit 55f1c6837f99. What
holds between the parts stands in `sdl_rules.py`; amounts in `sdl_quantities.py`.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from necto_pipelines.networks.akash.sdl_quantities import Amount, Bytes, GpuRam, GpuUnits, Millicores, Port, Window

MAX_HTTP_BODY_BYTES: Final = 104_857_600
MAX_PROXY_BUFFER_BYTES: Final = 1_048_576
MAX_HTTP_TIMEOUT_MS: Final = 60_000
RAM_CLASS: Final = "ram"
DEFAULT_VOLUME: Final = "default"


def _listed(value: object) -> object:
    """One volume may stand without its list, and has the default name then."""
    if isinstance(value, dict):
        return [value | {"name": DEFAULT_VOLUME}]
    return value


def _truth(value: object) -> object:
    """A storage attribute is text to the network; `true` and "true" are the same to it."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpOptions(_Part):
    """How the provider's ingress treats a port. None and zero alike leave the network's default in place."""

    max_body_size: int | None = Field(default=None, ge=0, le=MAX_HTTP_BODY_BYTES, strict=True)
    proxy_buffer_size: int | None = Field(default=None, ge=0, le=MAX_PROXY_BUFFER_BYTES, strict=True)
    read_timeout: int | None = Field(default=None, ge=0, le=MAX_HTTP_TIMEOUT_MS, strict=True)
    """milliseconds; so are the next two time-outs"""
    send_timeout: int | None = Field(default=None, ge=0, le=MAX_HTTP_TIMEOUT_MS, strict=True)
    next_timeout: int | None = Field(default=None, ge=0, strict=True)
    next_tries: int | None = Field(default=None, ge=0, strict=True)
    next_cases: (
        tuple[Literal["error", "timeout", "500", "502", "503", "504", "403", "404", "429", "off"], ...] | None
    ) = None

    @model_validator(mode="after")
    def _off_stands_alone(self) -> Self:
        if "off" in (self.next_cases or ()) and self.next_cases != ("off",):
            raise ValueError("off must be the only one of next_cases")
        return self


class To(_Part):
    """Who may reach a port: everyone, on a leased IP if one is named, or one service."""

    everyone: bool = Field(default=False, alias="global", strict=True)
    service: str = ""
    ip: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _an_ip_is_for_everyone(self) -> Self:
        if self.ip and not self.everyone:
            raise ValueError("a port on a leased IP must be global: true")
        return self


class Expose(_Part):
    """A port of a service; `outside` is the port seen by others, the same one when it is not given."""

    port: Port
    outside: Port | None = Field(default=None, alias="as")
    proto: Literal["TCP", "UDP", "tcp", "udp"] = "TCP"
    accept: tuple[str, ...] = ()
    http_options: HttpOptions = HttpOptions()
    to: tuple[To, ...] = ()


class Credentials(_Part):
    """How the provider signs in to the image's registry."""

    host: str = Field(min_length=1)
    username: str = Field(min_length=1)
    password: str = Field(min_length=6, repr=False)
    email: str | None = Field(default=None, min_length=5)

    @model_validator(mode="after")
    def _not_blank(self) -> Self:
        if not (self.host.strip() and self.username.strip() and self.password.strip()):
            raise ValueError("host, username and password must not be blank")
        return self


class Mount(_Part):
    """Where a service sees a volume."""

    mount: str | None = Field(default=None, pattern="^/")
    read_only: bool = Field(default=False, alias="readOnly", strict=True)


class Permissions(_Part):
    """What a service may ask its provider about its own lease."""

    read: tuple[Literal["deployment", "logs", "events"], ...] = ()


class Params(_Part):
    """Mounted volumes, permissions, and confidential computing."""

    storage: dict[str, Mount] = {}
    permissions: Permissions | None = None
    tee: Literal["cpu", "cpu-gpu"] | None = None


class Dependency(_Part):
    """A service to be started first; no part of the manifest."""

    service: str = ""


class Service(_Part):
    """A container and what it is started with."""

    image: str = Field(min_length=1)
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    expose: tuple[Expose, ...] | None = None
    dependencies: tuple[Dependency, ...] = ()
    params: Params | None = None
    credentials: Credentials | None = None


class CpuAttributes(_Part):
    """The kind of processor."""

    arch: Literal["amd64", "arm64"] | None = None


class Cpu(_Part):
    """`units` in millicores."""

    units: Millicores
    attributes: CpuAttributes = CpuAttributes()


class Memory(_Part):
    """`size` in bytes."""

    size: Bytes


class VolumeAttributes(_Part):
    """The kind of disk. A persistent one outlives the container; a class other than `ram` is always persistent."""

    storage_class: Literal["default", "beta1", "beta2", "beta3", "ram"] | None = Field(default=None, alias="class")
    persistent: Annotated[bool, BeforeValidator(_truth)] = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _class_and_persistence_fit(self) -> Self:
        if self.storage_class == RAM_CLASS and self.persistent:
            raise ValueError("storage of class ram cannot be persistent")
        if self.storage_class not in (None, RAM_CLASS) and not self.persistent:
            raise ValueError(f"storage of class {self.storage_class} needs persistent: true")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Keys and values as the network holds them, by key."""
        given = self.storage_class or (DEFAULT_VOLUME if self.persistent else None)
        return [*([("class", given)] if given else []), ("persistent", str(self.persistent).lower())]


class Volume(_Part):
    """Disk; `size` in bytes."""

    name: str = DEFAULT_VOLUME
    size: Bytes
    attributes: VolumeAttributes | None = None

    @property
    def persistent(self) -> bool:
        """True when the disk outlives the container."""
        return self.attributes is not None and self.attributes.persistent


class GpuModel(_Part):
    """A model under the network's own name."""

    model: str = Field(min_length=1)
    ram: GpuRam | None = None
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

    units: GpuUnits = 0
    attributes: GpuAttributes | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
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

    @model_validator(mode="after")
    def _volumes_have_their_own_names(self) -> Self:
        names = [volume.name for volume in self.storage]
        if len(set(names)) < len(names):
            raise ValueError("each volume needs a name of its own; one without a name is called default")
        return self


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


class Endpoint(_Part):
    """An address to be leased."""

    kind: Literal["ip"]


class Reclamation(_Part):
    """How much notice a provider must give before it takes the capacity back (AEP-82)."""

    min_window: Window


class Sdl(_Part):
    """A whole document. `deployment` maps service, then placement, to its share. `include` has no effect."""

    version: Literal["2.0", "2.1"]
    include: tuple[str, ...] = ()
    services: dict[str, Service]
    profiles: Profiles
    deployment: dict[str, dict[str, Share]]
    endpoints: dict[Annotated[str, Field(pattern="^[a-z]+[-_0-9a-z]+$")], Endpoint] = {}
    reclamation: Reclamation | None = None
