"""Countries have one code each."""

import iso3166
import pytest
from pydantic import TypeAdapter, ValidationError

from necto_pipelines.model.place import Country, country_code


@pytest.mark.parametrize(
    ("written", "code"), [("DE", "DE"), ("de", "DE"), ("DEU", "DE"), ("Germany", "DE"), ("NL", "NL")]
)
def test_codes_and_english_names_become_alpha_2(written: str, code: str) -> None:
    assert country_code(written) == code


@pytest.mark.parametrize("country", iso3166.countries, ids=lambda country: country.alpha2)
def test_a_code_names_itself(country: iso3166.Country) -> None:
    assert country_code(country.alpha2) == country.alpha2


@pytest.mark.parametrize("written", ["", "ZZ", "Europe", "eu-west-1", " "])
def test_what_is_no_country_is_refused_with_what_is_allowed(written: str) -> None:
    with pytest.raises(ValidationError, match="ISO 3166-1 alpha-2"):
        TypeAdapter(Country).validate_python(written)
