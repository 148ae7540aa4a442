"""Which part of the world a cloud's region lies in: prices of one part may be compared with each other.

The clouds name regions by their own schemes: AWS and GCP put the part first (`eu-west-1`, `europe-west4`), Azure hides
it in a word (`westeurope`, `koreacentral`). Lists of regions of the three clouds, 2026-11-22.
"""

import re
from functools import cache
from typing import Final

_PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("south-america", r"^sa-|^southamerica|brazil|chile"),
    ("africa", r"^af-|^africa|southafrica"),
    ("middle-east", r"^me-|^il-|uae|qatar|israel"),
    ("europe", r"^eu-|europe|^uk|france|germany|switz|norway|sweden|poland|italy|spain|austria|belgium|denmark"),
    (
        "asia-pacific",
        r"^ap-|^asia-|^australia|asia$|japan|korea|india|australia|newzealand|indonesia|malaysia|taiwan|^jio",
    ),
    ("north-america", r"^us|^ca-|^mx-|^northamerica|us\d?$|us2|canada|mexico"),
)
"""first match wins: `southafricanorth` is no south, `southindia` no America"""


@cache
def region_group(region: str) -> str:
    """The part of the world of a region of AWS, Azure or GCP; the region itself when its name gives no sign."""
    return next((part for part, pattern in _PARTS if re.search(pattern, region)), region)
