"""Which part of the world a region or a country lies in, and which part is nearest to which.

Prices of one part may be compared with each other. The clouds name regions by their own schemes: AWS and GCP put the
part first (`eu-west-1`, `europe-west4`), Azure hides it in a word (`westeurope`, `koreacentral`), Akash has its own
(`na-us-west`, `as-east`). Lists of regions of the three clouds, 2026-11-22.
"""

import re
from collections.abc import Collection
from functools import cache
from typing import Final

_PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    ("south-america", r"^sa-|^southamerica|brazil|chile"),
    ("africa", r"^af-|^africa|southafrica"),
    ("middle-east", r"^me-|^il-|uae|qatar|israel"),
    ("europe", r"^eu-|europe|^uk|france|germany|switz|norway|sweden|poland|italy|spain|austria|belgium|denmark"),
    (
        "asia-pacific",
        r"^ap-|^as-|^oc-|^jp-|^asia-|^australia|asia$|japan|korea|india|australia|newzealand|indonesia|malaysia|taiwan|^jio",
    ),
    ("north-america", r"^us|^na-|^ca-|^mx-|^northamerica|us\d?$|us2|canada|mexico"),
)
"""first match wins: `southafricanorth` is no south, `southindia` no America"""

_COUNTRIES: Final = {
    "south-america": "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE",
    "africa": (
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG ML MR MU MW MZ NA"
        " NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW"
    ),
    "middle-east": "AE AM AZ BH GE IL IQ IR JO KW LB OM PS QA SA SY TR YE",
    "europe": (
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK"
        " MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK"
    ),
    "asia-pacific": (
        "AF AQ AS AU BD BN BT CC CK CN CX FJ FM GU HK HM ID IN JP KG KH KI KP KR KZ LA LK MH MM MN MO MP MV MY NC NF NP"
        " NR NU NZ PF PG PH PK PN PW SB SG TH TJ TK TL TM TO TV TW UZ VN VU WF WS"
    ),
    "north-america": (
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT"
        " UM US VC VG VI"
    ),
}
_PART_OF: Final = {code: part for part, codes in _COUNTRIES.items() for code in codes.split()}

NEAREST: Final[dict[str, tuple[str, ...]]] = {
    "africa": ("africa", "middle-east", "south-america", "asia-pacific", "europe", "north-america"),
    "asia-pacific": ("asia-pacific", "middle-east", "africa", "europe", "north-america", "south-america"),
    "europe": ("europe", "middle-east", "north-america", "africa", "south-america", "asia-pacific"),
    "middle-east": ("middle-east", "europe", "asia-pacific", "africa", "north-america", "south-america"),
    "north-america": ("north-america", "europe", "south-america", "middle-east", "africa", "asia-pacific"),
    "south-america": ("south-america", "africa", "north-america", "europe", "middle-east", "asia-pacific"),
}
"""for each part all parts, the nearest first: by great-circle distance between Johannesburg, Singapore, Frankfurt,
Dubai, Ashburn and São Paulo, where most of each part's machines stand"""


@cache
def region_group(region: str) -> str:
    """The part of the world of a region of AWS, Azure or GCP; the region itself when its name gives no sign."""
    return next((part for part, pattern in _PATTERNS if re.search(pattern, region)), region)


def place_group(country: str | None, region: str | None) -> str | None:
    """The part of the world of an ISO 3166-1 country, else of a region by its name; None when neither tells."""
    if country in _PART_OF:
        return _PART_OF[country]
    found = region_group(region) if region else None
    return found if found in NEAREST else None


def remoteness(group: str | None, homes: Collection[str]) -> int:
    """How many parts of the world lie nearer to one of `homes` than `group`: 0 at home, and also when no home is known.

    A group that is unknown is remoter than any other.
    """
    if not homes:
        return 0
    return min(NEAREST[home].index(group) for home in homes) if group in NEAREST else len(NEAREST)
