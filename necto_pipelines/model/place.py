"""Countries by ISO 3166-1 alpha-2."""

from typing import Annotated

import iso3166
from pydantic import AfterValidator


def country_code(text: str) -> str:
    """The alpha-2 code for a code or an English name; ValueError naming what is allowed otherwise."""
    try:
        return iso3166.countries.get(text).alpha2
    except KeyError:
        raise ValueError("use an ISO 3166-1 alpha-2 code such as DE, NL or US") from None


Country = Annotated[str, AfterValidator(country_code)]
