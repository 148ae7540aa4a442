"""One name per GPU: whatever the spelling, the same key; whatever is unknown, nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.model.gpu import FAMILIES, normalise_gpu, wanted_gpu

KEYS = sorted(f"{family}-{size}GB" for family, sizes in FAMILIES.items() for size in sizes)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_names_itself(key: str) -> None:
    gpu = normalise_gpu(key)
    assert gpu is not None
    assert gpu.key == key


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_bare_family_means_its_commonest_size(family: str) -> None:
    gpu = normalise_gpu(family)
    assert gpu is not None
    assert (gpu.family, gpu.vram_gib) == (family, FAMILIES[family][0])


@given(st.sampled_from(KEYS), st.sampled_from(["NVIDIA ", "nvidia-", "Tesla_", ""]), st.booleans())
def test_case_and_vendor_words_do_not_matter(key: str, prefix: str, lower: bool) -> None:
    spelled = prefix + (key.lower() if lower else key)
    gpu = normalise_gpu(spelled)
    assert gpu is not None
    assert gpu.key == key


@given(st.text(max_size=40), st.none() | st.floats(allow_nan=True))
def test_whatever_is_written_gives_a_known_key_or_nothing(name: str, memory_gib: float | None) -> None:
    gpu = normalise_gpu(name, memory_gib=memory_gib)
    assert gpu is None or gpu.key in KEYS


@given(st.sampled_from(sorted(FAMILIES)), st.floats())
def test_a_stated_memory_is_matched_within_15_percent_or_refused(family: str, memory_gib: float) -> None:
    gpu = normalise_gpu(family, memory_gib=memory_gib)
    if gpu is None:
        assert not any(abs(size - memory_gib) <= size * 0.15 for size in FAMILIES[family][:1])
    else:
        assert abs(gpu.vram_gib - memory_gib) <= gpu.vram_gib * 0.15


@pytest.mark.parametrize(
    ("name", "memory_gib", "key"),
    [
        ("NVIDIA H100 SXM5 80GB", None, "H100-80GB"),
        ("Tesla T4", None, "T4-16GB"),
        ("a100", 80, "A100-80GB"),
        ("A100-SXM4-40GB", None, "A100-40GB"),
        ("NVIDIA A10G", 22, "A10G-24GB"),  # AWS states the usable memory
        ("L40S", 45, "L40S-48GB"),
        ("B200", 179, "B200-192GB"),
        ("rtx4090", None, "RTX4090-24GB"),
        ("GeForce RTX 4090", None, "RTX4090-24GB"),
        ("4090", None, "RTX4090-24GB"),
        ("pro6000se", 96, "RTXPRO6000-96GB"),
        ("RTX A6000", None, "RTXA6000-48GB"),
        ("a6000", 48, "RTXA6000-48GB"),
        ("Quadro RTX 6000", None, "RTX6000-24GB"),
        ("RTX 6000 Ada", None, "RTX6000ADA-48GB"),
        ("AMD Instinct MI300X", None, "MI300X-192GB"),
        ("T4G", None, "T4G-16GB"),  # a G in the name is no memory size
    ],
)
def test_sources_spellings_become_one_key(name: str, memory_gib: float | None, key: str) -> None:
    gpu = normalise_gpu(name, memory_gib=memory_gib)
    assert gpu is not None
    assert gpu.key == key


@pytest.mark.parametrize("name", ["", "GPU", "TPU v5e", "H1000", "radeon", "H100 9000GB", "A100 24GB"])
def test_an_unknown_gpu_has_no_name(name: str) -> None:
    assert normalise_gpu(name) is None


def test_a_share_of_a_gpus_memory_is_not_that_gpu() -> None:
    assert normalise_gpu("A10", memory_gib=4) is None


def test_a_memory_that_is_no_number_is_refused() -> None:
    assert normalise_gpu("H100", memory_gib=float("nan")) is None


@pytest.mark.parametrize(
    ("name", "given_interface", "interface"),
    [
        ("H100 SXM5", None, "sxm"),
        ("H100 PCIe", None, "pcie"),
        ("H100 94GB NVL", None, "nvl"),
        ("H100", "SXM4", "sxm"),
        ("H100", "", None),
        ("H100", None, None),
    ],
)
def test_the_interface_is_kept_apart_from_the_key(
    name: str, given_interface: str | None, interface: str | None
) -> None:
    gpu = normalise_gpu(name, interface=given_interface)
    assert gpu is not None
    assert gpu.interface == interface


def test_amd_cards_are_amds() -> None:
    amd = {family for family in FAMILIES if (gpu := normalise_gpu(family)) and gpu.vendor == "amd"}
    assert amd == {"MI300X", "MI250", "MI100", "MI60"}


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("h100", "H100"), ("H100 80GB", "H100-80GB"), ("a100-80gb", "A100-80GB"), ("GeForce RTX 4090", "RTX4090")],
)
def test_a_persons_gpu_keeps_its_size_only_when_they_gave_one(written: str, wanted: str) -> None:
    assert wanted_gpu(written) == wanted


def test_a_persons_unknown_gpu_is_refused_with_near_names() -> None:
    with pytest.raises(ValueError, match="RTX4090"):
        wanted_gpu("RTX 4091")
