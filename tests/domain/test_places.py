"""Places, phone numbers and mail addresses as people type them."""

import json

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from app.kit import places
from app.kit.places import (
    RegionError,
    country_name,
    email_form,
    find_country,
    find_region,
    find_region_of,
    list_countries,
    list_regions,
    normalise_phone,
    region_name,
)
from tests.conftest import SHARED_DATA

SHARED_GEO = SHARED_DATA / "geo"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("US", "US"), ("usa", "US"), ("United States", "US"), ("united  states of america", "US"),
        ("United Kingdom", "GB"), ("GBR", "GB"), ("England", "GB"), ("Great Britain", "GB"),
        ("Russia", "RU"), ("Russian Federation", "RU"), ("Turkey", "TR"), ("Türkiye", "TR"),
        ("South Korea", "KR"), ("Korea, Republic of", "KR"), ("Cote d'Ivoire", "CI"), ("Ivory Coast", "CI"),
        ("Czech Republic", "CZ"), ("Czechia", "CZ"), ("Vietnam", "VN"), ("Bolivia", "BO"), ("Taiwan", "TW"),
        ("Curacao", "CW"), ("ALAND ISLANDS", "AX"), ("Bosnia & Herzegovina", "BA"), ("Kosovo", "XK"),
        ("São Tomé and Príncipe", "ST"), ("Hong Kong", "HK"), ("Swaziland", "SZ"), ("Tanzania", "TZ"),
    ],
)  # fmt: skip
def test_a_country_is_found_by_code_or_english_name(text, code):
    assert find_country(text) == code


@pytest.mark.parametrize("text", ["", " ", "Atlantis", "ZZ", "EU", "U", "1", "Ünited", "USAA"])
def test_what_is_no_country_is_not_found(text):
    assert find_country(text) is None


def test_every_country_is_found_by_the_name_that_it_is_answered_with():
    assert len(list_countries()) == 250
    for code, name in list_countries():
        assert country_name(code) == name
        assert find_country(name) == find_country(code) == code


def test_every_region_is_found_by_its_code_with_and_without_the_country():
    for country, _ in list_countries():
        for code, name in list_regions(country):
            assert region_name(code) == name
            assert find_region(country, code) == code
            assert find_region(country, code.removeprefix(f"{country}-")) == code


def test_an_answered_region_can_be_sent_again_by_name_and_code():
    for country, _ in list_countries():
        for code, name in list_regions(country):
            assert find_region_of(country, region=name, province=code) == code
            assert find_region(country, name) is not None


def test_aliases_lead_to_codes_that_exist():
    for country, names in places._REGION_ALIASES.items():
        for name, code in names.items():
            assert find_region(country, name) == f"{country}-{code}"
            assert region_name(f"{country}-{code}")
    for name, code in places._COUNTRY_ALIASES.items():
        assert find_country(name) == code


@pytest.mark.parametrize(
    ("country", "text", "code"),
    [
        ("US", "CA", "US-CA"), ("US", "us-ca", "US-CA"), ("US", "california", "US-CA"),
        ("CA", "Québec", "CA-QC"), ("CA", "quebec", "CA-QC"), ("DE", "Bavaria", "DE-BY"), ("DE", "Bayern", "DE-BY"),
        ("GB", "Scotland", "GB-SCT"), ("GB", "Kent", "GB-KEN"), ("JP", "Tokyo", "JP-13"), ("AU", "NSW", "AU-NSW"),
        ("CN", "Guangdong", "CN-GD"), ("KR", "Seoul", "KR-11"), ("ES", "La Coruña", "ES-C"), ("IT", "Milan", "IT-MI"),
        ("CH", "Zurich", "CH-ZH"), ("FR", "Île-de-France", "FR-IDF"),
        ("US", "Bavaria", None), ("US", "", None), ("US", "CA-ON", None), ("ZZ", "CA", None),
    ],
)  # fmt: skip
def test_a_region_is_found_inside_its_country_only(country, text, code):
    assert find_region(country, text) == code


def test_one_region_comes_from_three_fields():
    assert find_region_of("US") is None
    assert find_region_of("US", region=" ", province=None, state="CA") == "US-CA"
    assert find_region_of("US", region="California", province="US-CA", state="CA") == "US-CA"
    assert find_region_of("HK", region="Kowloon") is None


@pytest.mark.parametrize(
    ("fields", "at", "clash"),
    [
        ({"region": "California", "province": "TX"}, "province", True),
        ({"province": "CA", "state": "NY"}, "state", True),
        ({"region": "California", "state": "Ontario"}, "state", False),
        ({"region": "Nowhere"}, "region", False),
    ],
)
def test_two_fields_that_name_different_regions_are_refused(fields, at, clash):
    with pytest.raises(RegionError) as caught:
        find_region_of("US", **fields)
    assert (caught.value.field, caught.value.clash) == (at, clash)


@pytest.mark.parametrize(
    ("typed", "country", "e164"),
    [
        ("(202) 555-0123", "US", "+12025550123"), (2025550123, "US", "+12025550123"),
        (12025550123, "US", "+12025550123"), ("07700 900123", "GB", "+447700900123"),
        (447700900123, "GB", "+447700900123"), ("+49 30 901820", "FR", "+4930901820"),
        ("0041 44 668 18 00", "CH", "+41446681800"), ("03-1234-5678", "JP", "+81312345678"),
        ("+1 202 555 0123 ext. 5", "DE", "+12025550123"),
    ],
)  # fmt: skip
def test_a_phone_number_is_kept_as_e164_and_as_typed(typed, country, e164):
    assert normalise_phone(typed, country) == (e164, str(typed))


@pytest.mark.parametrize(
    "typed", ["", "+", "abc", "12345", 0, -5, "call 2025550123", "9" * 40, "202555\x000123"]
)
def test_what_cannot_be_dialled_is_no_phone_number(typed):
    assert normalise_phone(typed, "US") is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada@Example.COM", "Ada@example.com"), (" a@b.de ", "a@b.de"), ("a@shop.test", "a@shop.test"),
        ("a@localhost", "a@localhost"), ("a@mail.localhost", "a@mail.localhost"),
        ("a@demo.invalid", "a@demo.invalid"), ("ü@münchen.de", "ü@münchen.de"), ("a+b@x.co", "a+b@x.co"),
    ],
)  # fmt: skip
def test_a_mail_address_is_judged_by_its_form(typed, kept):
    assert email_form(typed) == kept


@pytest.mark.parametrize(
    "typed",
    ["", "a", "@x.de", "a@", "a@b", "a b@x.de", "a@x..de", "a@x.de\x00", "<a@x.de>", "a@[127.0.0.1]", "a@x.de,b@x.de",
     "a" * 65 + "@x.de", "a@" + "b" * 250 + ".de", "localhost", "a@.localhost", "a\n@x.de", "a@x.onion", "a@" + "b" * 64 + ".de"],
)  # fmt: skip
def test_what_has_not_the_form_of_a_mail_address_is_refused(typed):
    assert email_form(typed) is None


LABELS = st.text("ab1-", min_size=1, max_size=5)
ENDS = st.sampled_from(
    [
        "de",
        "test",
        "local",
        "localhost",
        "invalid",
        "onion",
        "arpa",
        "example",
        "c1",
        "1c",
        "x--y",
        "xn--p1ai",
    ]
)
LOCAL_PARTS = st.text("ab1-.+'_ A@\"", max_size=8) | st.sampled_from(["info", "Info", "a" * 64, "a" * 65])


@given(LOCAL_PARTS, st.lists(LABELS, min_size=1, max_size=3), ENDS)
def test_what_is_seen_to_be_a_mail_address_at_a_glance_is_one(local, labels, end):
    typed = f"{local}@{'.'.join([*labels, end])}"
    if end in ("local", "localhost", "invalid"):  # ours to judge: the library refuses them
        return
    try:
        judged = validate_email(typed.strip(), check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        assert email_form(typed) is None
    else:
        assert email_form(typed) == judged.normalized


@given(st.text(max_size=60), st.sampled_from(["US", "GB", "HK", "CN"]))
def test_no_text_breaks_a_look_up(text, country):
    assert find_country(text) is None or find_country(text) in dict(list_countries())
    assert find_region(country, text) is None or region_name(find_region(country, text))
    assert normalise_phone(text, country) is None or normalise_phone(text, country)[0].startswith("+")
    assert email_form(text) is None or "@" in email_form(text)


@pytest.mark.data
@pytest.mark.skipif(not SHARED_GEO.is_dir(), reason="the shared data folder is not beside the checkout")
def test_the_names_that_other_shops_send_are_known():
    countries = json.loads((SHARED_GEO / "shopify_countries.json").read_text())["data"]["countries"]
    lost = [one["name"] for one in countries if find_country(one["name"]) != one["code"]]
    assert lost == ["Netherlands Antilles"]  # dissolved in 2010
    ships_to = {
        one["code"]: one["zones"] for one in countries if one["code"] in {"CA", "AU", "JP", "MX", "CN", "KR"}
    }
    for code, zones in ships_to.items():
        assert [zone["name"] for zone in zones if find_region(code, zone["name"]) is None] == []
