"""Small tables for tests: one row each, everything overridable."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from necto_pipelines.compliance.screening import KNOWN_AUDITORS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHA = "a" * 64


def signed(auditor: str, *keys: str) -> str:
    """The column `audited_attributes` for these keys, signed by `auditor`."""
    return json.dumps([[key, "x", auditor] for key in keys])


def evidence_row(provider: str = "akash1good", **changes: Any) -> dict[str, Any]:
    """Evidence of a provider that passes the house policy."""
    return {
        "network": "akash",
        "provider": provider,
        "provider_name": f"{provider}.example",
        "is_online": True,
        "is_valid_version": True,
        "audited_by": KNOWN_AUDITORS[0],
        "audited_attributes": signed(KNOWN_AUDITORS[0], "location-region", "host"),
        "country": "DE",
        "uptime_7d": 0.999,
        "observed_at": NOW,
        "raw_sha256": SHA,
        **changes,
    }


def offer_row(provider: str = "akash1good", **changes: Any) -> dict[str, Any]:
    """An offer of eight H100s in Germany for $2.50."""
    return {
        "offer_id": f"akash/{provider}/H100-80GB",
        "network": "akash",
        "provider": provider,
        "provider_name": f"{provider}.example",
        "gpu_key": "H100-80GB",
        "gpu_family": "H100",
        "gpu_interface": "sxm",
        "vram_gib": 80,
        "units_available": 8,
        "max_gpus_per_order": 8,
        "cpu_cores": 128.0,
        "memory_gib": 1024.0,
        "disk_gib": 4000.0,
        "country": "DE",
        "region": "eu-west",
        "usd_per_gpu_hour": Decimal("2.50"),
        "price_basis": "list",
        "native_amount": Decimal("4081.6"),
        "native_unit": "uact/block",
        "block_seconds": Decimal("5.876"),
        "interruptible": False,
        "observed_at": NOW,
        "source": "test",
        "mode": "sandbox",
        "raw_sha256": SHA,
        **changes,
    }
