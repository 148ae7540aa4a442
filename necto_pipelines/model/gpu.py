"""One name for each GPU, whatever a source calls it.

A key is `FAMILY-<VRAM>GB` (`H100-80GB`, `RTX4090-24GB`); the interface is kept apart. Sources state memory as usable
GiB, binary or decimal units, so the stated figure is moved to the nearest size the family was made with.
Families and sizes: vendors' data sheets and akash-network/provider-configs devices/pcie/gpus.json (2026-11-22).
"""

import difflib
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

FAMILIES: Final[dict[str, tuple[int, ...]]] = {
    # data centre, NVIDIA
    "B300": (288,), "B200": (192,), "GB200": (192,), "H200": (141,), "H100": (80, 94), "A100": (40, 80), "A800": (80,),
    "L40S": (48,), "L40": (48,), "L4": (24,), "A40": (48,), "A30": (24,), "A16": (16,), "A10G": (24,), "A10": (24,), "T4": (16,),
    "T4G": (16,), "V100": (16, 32), "P100": (16,), "P40": (24,), "P4": (8,), "K80": (12,),
    # data centre, AMD
    "MI300X": (192,), "MI250": (128,), "MI100": (32,), "MI60": (32,),
    # workstation
    "RTXPRO6000": (96,), "RTXPRO4500": (32,), "RTX6000ADA": (48,), "RTX5000ADA": (32,), "RTX4000ADA": (20,), "RTX2000ADA": (16,),
    "RTXA6000": (48,), "RTXA5000": (24,), "RTXA4000": (16,), "RTXA2000": (6, 12), "RTX8000": (48,), "RTX6000": (24,),
    "RTX5000": (16,), "RTX4000": (8,), "P6000": (24,), "P5000": (16,), "P4000": (8,), "P2000": (5, 4), "M4000": (8,),
    # consumer
    "RTX5090": (32,), "RTX5080": (16,), "RTX5070TI": (16,), "RTX5070": (12,), "RTX4090": (24,), "RTX4080S": (16,), "RTX4080": (16,),
    "RTX4070TI": (12,), "RTX4070S": (12,), "RTX4070": (12,), "RTX4060TI": (16, 8), "RTX4060": (8,), "RTX3090TI": (24,),
    "RTX3090": (24,), "RTX3080TI": (12,), "RTX3080": (10, 12), "RTX3070TI": (8,), "RTX3070": (8,), "RTX3060TI": (8,),
    "RTX3060": (12,), "RTX2080TI": (11,), "RTX2080S": (8,), "RTX2080": (8,), "RTX2070S": (8,), "RTX2070": (8,), "RTX2060S": (8,),
    "RTX2060": (6,), "GTX1080TI": (11,), "GTX1080": (8,), "GTX1070TI": (8,), "GTX1070": (8,), "GTX1060": (6, 3), "GTX1050TI": (4,),
    "GTX1050": (2,), "GTX1660TI": (6,), "GTX1660": (6,), "GTX1650TI": (4,),
}  # fmt: skip

_FP16_FIGURES: Final[dict[str, dict[str, float]]] = {
    "NVIDIA HGX B200 data sheet": {"B200": 2250},
    "NVIDIA H100 and H200 data sheets (SXM; half of the figure with sparsity)": {"H200": 989, "H100": 989},
    "NVIDIA A100 architecture white paper, table of V100, P100 and A100": {"A100": 312, "A800": 312, "V100": 125, "P100": 21.2},
    "NVIDIA data sheets of L40S, L40, L4, A40, A30, A10 and T4": {
        "L40S": 362, "L40": 181, "L4": 121, "A40": 149.7, "A30": 165, "A10": 125, "T4": 65,
    },
    "NVIDIA A10G data sheet for AWS, 2022-02-17": {"A10G": 70},
    "NVIDIA RTX Blackwell architecture white papers (GeForce and PRO)": {"RTX5090": 209.5, "RTXPRO6000": 503.8},
    "NVIDIA Ada architecture white paper, appendix A": {"RTX4090": 165.2, "RTX4080": 97.5},
    "NVIDIA RTX 6000 Ada data sheet (a quarter of its FP8 figure with sparsity)": {"RTX6000ADA": 364},
    "NVIDIA GA102 architecture white paper": {"RTXA6000": 154.8, "RTX3090": 71},
    "NVIDIA Turing architecture white paper; Quadro RTX 8000 data sheet": {"RTX6000": 130.5, "RTX8000": 130.5, "RTX2080TI": 56.9},
    "AMD Instinct data sheets": {"MI300X": 1307, "MI250": 362, "MI100": 185},
}  # fmt: skip
FP16_TFLOPS: Final = {family: tflops for figures in _FP16_FIGURES.values() for family, tflops in figures.items()}
"""dense FP16 of one card, tensor cores with FP32 accumulation where it has them, in TFLOPS, of its fastest form. A family
that is not here has no figure that we trust: it passes no question about compute, and no proxy is named for it."""
FP16_SOURCE: Final = {family: source for source, figures in _FP16_FIGURES.items() for family in figures}
"""the maker's document that the family's figure is attributed to; read as others quote it (2026-11-22), not in the document"""

_SPELLINGS: Final[dict[str, str]] = {
    "PRO6000SE": "RTXPRO6000", "PRO6000WE": "RTXPRO6000", "PRO6000MQ": "RTXPRO6000", "RTXPRO6000SE": "RTXPRO6000",
    "RTXPRO6000WE": "RTXPRO6000", "RTXPRO6000BLACKWELL": "RTXPRO6000", "H200NVL": "H200", "A5000": "RTXA5000",
    "A6000": "RTXA6000", "A4000": "RTXA4000", "A2000": "RTXA2000", "RTX2000EADA": "RTX2000ADA", "RTX4000SADA": "RTX4000ADA",
    "RTX4090D": "RTX4090", "GEFORCERTX4090": "RTX4090",
}  # fmt: skip
_NOISE = re.compile(r"NVIDIA|AMD|TESLA|GEFORCE|QUADRO|INSTINCT|TENSOR|CORE|GPU")
_INTERFACE = re.compile(r"SXM\d?|PCIE|NVL(?![A-Z])")
_MEMORY = re.compile(r"(?<![A-Z0-9])(\d+)\s?G(?:I?B|I)?(?![A-Z0-9])")


class Gpu(BaseModel):
    """A GPU model under its one name. `vram_gib` is the nominal size printed by its maker."""

    model_config = ConfigDict(frozen=True)

    family: str
    vram_gib: int
    vendor: str = "nvidia"
    interface: str | None = None

    @property
    def key(self) -> str:
        """The name used everywhere: `H100-80GB`."""
        return f"{self.family}-{self.vram_gib}GB"


def normalise_gpu(name: str, *, memory_gib: float | None = None, interface: str | None = None) -> Gpu | None:
    """Name a source's GPU, or None when the name is not in the vocabulary (the caller quarantines such a row).

    `memory_gib` is what the source states apart from the name; without it the size written in the name counts, and
    without that the family's first (commonest) size.

    >>> normalise_gpu("NVIDIA H100 SXM5 80GB").key
    'H100-80GB'
    >>> normalise_gpu("a100", memory_gib=80).key
    'A100-80GB'
    """
    text = name.upper().replace("_", " ")
    if memory_gib is None and (found := _MEMORY.search(text)):
        memory_gib = float(found.group(1))
    if interface is None and (socket := _INTERFACE.search(text)):
        interface = socket.group(0)
    bare = re.sub(r"[^A-Z0-9]", "", _NOISE.sub("", _INTERFACE.sub("", _MEMORY.sub("", text))))
    family = next((f for f in (_SPELLINGS.get(bare, bare), f"RTX{bare}") if f in FAMILIES), None)
    if family is None:
        return None
    sizes = FAMILIES[family]
    vram = sizes[0] if memory_gib is None else min(sizes, key=lambda size: abs(size - memory_gib))
    if memory_gib is not None and not abs(vram - memory_gib) <= vram * 0.15:  # written so that NaN fails
        return None
    vendor = "amd" if family.startswith("MI") else "nvidia"
    return Gpu(
        family=family,
        vram_gib=vram,
        vendor=vendor,
        interface=interface.lower().rstrip("0123456789") if interface else None,
    )


def wanted_gpu(text: str) -> str:
    """What a person wrote, under our names: the key when they gave a memory size, else the family, which takes any size.

    ValueError naming near spellings when the GPU is unknown.
    """
    if gpu := normalise_gpu(text):
        return gpu.key if _MEMORY.search(text.upper()) else gpu.family
    near = difflib.get_close_matches(re.sub(r"[^A-Z0-9]", "", text.upper()), FAMILIES, n=4, cutoff=0.5)
    known = ", ".join(near or ("H100", "H200", "A100-80GB", "L40S", "RTX4090", "T4"))
    raise ValueError(f"name a known GPU such as {known} (`necto offers` lists them)")


WantedGpu = Annotated[str, AfterValidator(wanted_gpu)]
"""A GPU family or key, checked and normalised."""
