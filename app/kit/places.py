"""Which country, region, phone number and mail address a text means, from Babel, pycountry and phonenumbers.

Countries are ISO 3166-1 alpha-2 (with XK, which CLDR and carriers use for Kosovo), regions ISO 3166-2,
phone numbers E.164. Everything is looked up in tables built once per process; nothing here does I/O.
"""

import re
import unicodedata
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

import phonenumbers
import pycountry
from babel import Locale
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

_ENGLISH: Final = Locale("en").territories
_SUBDIVISIONS: Final[Any] = pycountry.subdivisions  # carries no types of its own
_KOSOVO: Final = "XK"
_PHONE_TEXT: Final = re.compile(r"\+?[\d\s().\-/\u2010-\u2015]+(?:(?:ext\.?|x|#)\s*\d{1,7})?", re.IGNORECASE)
# Where nobody ever has an address (RFC 2606): what stands in the place of one that was forgotten.
NOBODYS_DOMAIN: Final = "closed.invalid"
_PRIVATE_DOMAIN: Final = re.compile(r"(?<=[@.])(?:invalid|local|localhost)$", re.IGNORECASE)
# Nearly every address there is: short, in ASCII and in lower case, at a name of letters, digits and single dashes.
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_ADDRESS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]+)")
_PLAIN_LENGTH: Final = 64
_SPECIAL: Final = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)

# What people and other shops write, and neither Babel nor pycountry knows.
_COUNTRY_ALIASES: Final = {
    "America": "US", "Bosnia": "BA", "Britain": "GB", "Burma": "MM", "Cape Verde": "CV",
    "Channel Islands Guernsey": "GG", "Channel Islands Jersey": "JE", "Congo (DRC)": "CD",
    "Congo Kinshasa": "CD", "DR Congo": "CD", "Congo (Republic)": "CG", "Congo Brazzaville": "CG",
    "Czech Rep.": "CZ", "Dominican Rep.": "DO", "East Timor": "TL", "Eire": "IE", "England": "GB",
    "Falkland Islands (Islas Malvinas)": "FK", "Great Britain": "GB", "Holland": "NL",
    "Hong Kong SAR": "HK", "Ivory Coast": "CI", "Korea": "KR", "Macao": "MO", "Macau": "MO",
    "Macedonia": "MK", "Macedonia (FYROM)": "MK", "Moldova": "MD", "Northern Ireland": "GB",
    "Palestine": "PS", "Republic of Ireland": "IE", "Saint Helena": "SH", "Saint Martin": "MF",
    "Scotland": "GB", "South Georgia": "GS", "South Korea": "KR", "North Korea": "KP", "Swaziland": "SZ",
    "Taiwan": "TW", "The Bahamas": "BS", "The Gambia": "GM", "The Netherlands": "NL",
    "The Philippines": "PH", "Turkey": "TR", "UAE": "AE", "UK": "GB", "U.K.": "GB",
    "United States of America": "US", "U.S.A.": "US", "Vatican": "VA", "Wales": "GB",
}  # fmt: skip

# English names where ISO 3166-2 keeps the local one only.
_REGION_ALIASES: Final = {
    "AE": {"Abu Dhabi": "AZ", "Ajman": "AJ", "Dubai": "DU", "Fujairah": "FU", "Ras al-Khaimah": "RK",
           "Sharjah": "SH", "Umm al-Quwain": "UQ"},
    "AT": {"Carinthia": "2", "Lower Austria": "3", "Upper Austria": "4", "Styria": "6", "Tyrol": "7",
           "Vienna": "9"},
    "BE": {"Brussels": "BRU", "Flanders": "VLG", "Wallonia": "WAL"},
    "CA": {"Newfoundland": "NL", "PEI": "PE"},
    "CH": {"Geneva": "GE", "Lucerne": "LU", "Berne": "BE", "Basel City": "BS", "Grisons": "GR",
           "Valais": "VS", "Vaud": "VD", "Ticino": "TI", "Neuchatel": "NE", "Fribourg": "FR"},
    "CN": {"Inner Mongolia": "NM", "Tibet": "XZ", "Xizang": "XZ", "Guangxi": "GX", "Ningxia": "NX",
           "Xinjiang": "XJ", "Hong Kong": "HK", "Macau": "MO"},
    "CO": {"Bogota": "DC", "Bogotá, D.C.": "DC"},
    "DE": {"Bavaria": "BY", "Hesse": "HE", "Lower Saxony": "NI", "Mecklenburg-Western Pomerania": "MV",
           "North Rhine-Westphalia": "NW", "Rhineland-Palatinate": "RP", "Saxony": "SN",
           "Saxony-Anhalt": "ST", "Thuringia": "TH"},
    "ES": {"Balearic Islands": "IB", "Balears": "PM", "Basque Country": "PV", "Castile and Leon": "CL",
           "Castile-La Mancha": "CM", "Catalonia": "CT", "Andalusia": "AN", "Aragon": "AR", "Navarre": "NC",
           "Canary Islands": "CN", "Guipúzcoa": "SS", "Vizcaya": "BI", "Seville": "SE"},
    "FR": {"Brittany": "BRE", "Normandy": "NOR", "Corsica": "20R", "Occitania": "OCC"},
    "GB": {"England": "ENG", "Scotland": "SCT", "Wales": "WLS", "Northern Ireland": "NIR",
           "Ulster": "NIR", "City of London": "LND"},
    "EG": {"Alexandria": "ALX", "Cairo": "C", "Giza": "GZ", "Luxor": "LX", "Port Said": "PTS", "Suez": "SUZ"},
    "GR": {"Attica": "I", "Crete": "M"},
    "ID": {"Jakarta": "JK", "North Sumatra": "SU", "West Sumatra": "SB", "South Sumatra": "SS",
           "West Java": "JB", "Central Java": "JT", "East Java": "JI"},
    "IN": {"Orissa": "OD", "Pondicherry": "PY", "New Delhi": "DL"},
    "IT": {"Aosta": "23", "Florence": "FI", "Genoa": "GE", "Lombardy": "25", "Milan": "MI", "Naples": "NA", "Piedmont": "21",
           "Rome": "RM", "Sardinia": "88", "Sicily": "82", "Turin": "TO", "Tuscany": "52", "Venice": "VE"},
    "JP": {"Tokyo-to": "13", "Osaka-fu": "27", "Kyoto-fu": "26"},
    "KR": {"Busan": "26", "Chungbuk": "43", "Chungnam": "44", "Daegu": "27", "Daejeon": "30", "Gangwon": "42",
           "Gwangju": "29", "Gyeongbuk": "47", "Gyeonggi": "41", "Gyeongnam": "48", "Incheon": "28",
           "Jeju": "49", "Jeonbuk": "45", "Jeonnam": "46", "Sejong": "50", "Seoul": "11", "Ulsan": "31"},
    "MY": {"Kuala Lumpur": "14", "Labuan": "15", "Penang": "07", "Malacca": "04", "Putrajaya": "16"},
    "MX": {"Mexico City": "CMX", "DF": "CMX", "Mexico State": "MEX", "Coahuila": "COA", "Michoacan": "MIC",
           "Veracruz": "VER", "Aguascalientes": "AGU", "Baja California": "BCN", "Nuevo Leon": "NLE"},
    "NL": {"North Brabant": "NB", "North Holland": "NH", "South Holland": "ZH", "Friesland": "FR"},
    "NZ": {"Wellington": "WGN", "Manawatu-Wanganui": "MWT"},
    "PL": {"Lesser Poland": "12", "Masovia": "14", "Silesia": "24", "Greater Poland": "30"},
    "PT": {"Azores": "20", "Açores": "20", "Madeira": "30", "Lisbon": "11"},
    "RU": {"Moscow": "MOW", "Saint Petersburg": "SPE", "St. Petersburg": "SPE", "Moscow Oblast": "MOS"},
    "TH": {"Bangkok": "10", "Pattaya": "S"},
    "US": {"DC": "DC", "Washington DC": "DC", "Washington D.C.": "DC", "US Virgin Islands": "VI",
           "Virgin Islands": "VI"},
    "ZA": {"Gauteng": "GP", "KwaZulu-Natal": "KZN"},
}  # fmt: skip

# The kind of region that ISO 3166-2 writes behind the name, and people leave away.
_REGION_KINDS: Final = re.compile(
    r"(?: (?:Sheng|Shi|Province|Prefecture)|, Respublika|, City of|"
    r"-(?:do|si|gwangyeoksi|teukbyeolsi|teukbyeoljachido))$"
)

# Addresses there name the lower level (the province), not the region above it.
_LOWER_LEVEL: Final = frozenset({"ES", "IT"})


def _key(text: str) -> str:
    """What two spellings of one name have in common: no case, accents, spaces or punctuation."""
    plain = unicodedata.normalize("NFKD", text.replace("&", " and ").casefold())
    return "".join(char for char in plain if char.isalnum())


@cache
def _countries() -> dict[str, str]:
    found: dict[str, str] = {}
    for country in [*pycountry.countries, None]:
        code: str = country.alpha_2 if country else _KOSOVO
        names = [
            code,
            _ENGLISH.get(code),
            _ENGLISH.get(f"{code}-alt-short"),
            _ENGLISH.get(f"{code}-alt-variant"),
        ]
        if country:
            names += [country.alpha_3, country.name]
            names += [getattr(country, kind, None) for kind in ("common_name", "official_name")]
        for name in names:
            if name:
                found.setdefault(_key(name), code)
    for name, code in _COUNTRY_ALIASES.items():
        found.setdefault(_key(name), code)
    return found


def find_country(text: str) -> str | None:
    """The alpha-2 code of a country given as code (alpha-2, alpha-3) or by an English name."""
    return _countries().get(_key(text))


def country_name(code: str) -> str:
    """Babel's English name; raises KeyError for what is no country."""
    if _countries().get(_key(code)) != code:
        raise KeyError(code)
    # CLDR names every code of ISO 3166-1, which a test holds it to.
    return str(_ENGLISH[code])


@cache
def list_countries() -> tuple[tuple[str, str], ...]:
    """Every (code, English name), in the order of their names."""
    pairs = ((code, country_name(code)) for code in set(_countries().values()))
    return tuple(sorted(pairs, key=lambda pair: _key(pair[1])))


def _subdivisions(country: str) -> list[Any]:
    return sorted(_SUBDIVISIONS.get(country_code=country) or (), key=lambda one: str(one.code))


def _shown(name: str) -> str:
    """The first of the names that ISO 3166-2 gives: "Girona [Gerona]" is shown as Girona."""
    return name.split(" [", maxsplit=1)[0].removesuffix("*").strip()


@cache
def list_regions(country: str) -> tuple[tuple[str, str], ...]:
    """The (ISO 3166-2 code, name) pairs that addresses in this country use, in the order of their names."""
    all_of_them = _subdivisions(country)
    parents = {one.parent_code for one in all_of_them if one.parent_code}
    if country in _LOWER_LEVEL:
        chosen = [one for one in all_of_them if one.code not in parents]
    else:
        chosen = [one for one in all_of_them if not one.parent_code]
    return tuple(sorted(((one.code, _shown(one.name)) for one in chosen), key=lambda pair: _key(pair[1])))


@cache
def _regions(country: str) -> dict[str, tuple[str, ...]]:
    """What each text may mean, the likeliest first: a code, then a region, then a lower one of its name."""
    found: dict[str, dict[str, None]] = {}

    def learn(text: str, code: str) -> None:
        found.setdefault(_key(text), {})[code] = None

    ordered = sorted(_subdivisions(country), key=lambda one: bool(one.parent_code))
    for one in ordered:
        learn(one.code, one.code)
        learn(one.code.removeprefix(f"{country}-"), one.code)
    for name, code in _REGION_ALIASES.get(country, {}).items():
        learn(name, f"{country}-{code}")
    for one in ordered:
        names = [part.strip(" []") for part in re.split(r"[\[;]", one.name)]
        for name in [one.name, *names, *(_REGION_KINDS.sub("", part) for part in names)]:
            learn(name, one.code)
    return {text: tuple(codes) for text, codes in found.items()}


def find_region(country: str, text: str) -> str | None:
    """The ISO 3166-2 code of a region given as code (with or without the country's) or by name."""
    codes = _regions(country).get(_key(text))
    return codes[0] if codes else None


def region_name(code: str) -> str:
    """The name of a region; raises KeyError for an unknown code."""
    found = _SUBDIVISIONS.get(code=code)
    if found is None:
        raise KeyError(code)
    return _shown(str(found.name))


class RegionError(ValueError):
    """The fields of an address name no region of the country, or two different ones."""

    def __init__(self, field: str, message: str, *, clash: bool) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.clash = clash


def find_region_of(
    country: str, *, region: str | None = None, province: str | None = None, state: str | None = None
) -> str | None:
    """One region from three fields: `region`, else `province`, else `state`.

    Raises RegionError naming the field, where one names no region of the country or two name different ones.
    A country without regions in ISO 3166-2 has none to name, and what was sent is left aside.
    """
    if not list_regions(country):
        return None
    codes: tuple[str, ...] = ()
    said_by = ""
    for field, text in (("region", region), ("province", province), ("state", state)):
        if not text or not text.strip():
            continue
        # A town and the district around it can share a name: what every field may mean is meant.
        meant = _regions(country).get(_key(text), ())
        if not meant:
            raise RegionError(field, f"{country_name(country)} has no region of this name.", clash=False)
        both = tuple(code for code in codes if code in meant) if said_by else meant
        if not both:
            raise RegionError(
                field, f"This names another region than `{said_by}`: send one of them.", clash=True
            )
        codes, said_by = both, said_by or field
    return codes[0] if codes else None


def normalise_phone(text: str | int, country: str) -> tuple[str, str] | None:
    """(E.164, as typed) of a phone number dialled from that country, or None where it cannot be one.

    The length must fit the country's plan; whether the number is assigned is not asked, since plans change
    faster than tables. A number, or digits without plus, may carry the country's calling code.
    """
    typed = f"{text}".strip()
    if not _PHONE_TEXT.fullmatch(typed):
        return None
    for candidate in (typed, f"+{typed}"):
        try:
            number = phonenumbers.parse(candidate, country)
        except phonenumbers.NumberParseException:
            continue
        reason = phonenumbers.is_possible_number_with_reason(number)
        if reason == phonenumbers.ValidationResult.IS_POSSIBLE:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), typed
    return None


def email_form(text: str) -> str | None:
    """The address with its domain in lower case, or None where it has not the form of one (RFC 5322, 6531).

    The domain is not looked up, and the names that are kept aside for tests and private networks (RFC 2606,
    6761, 6762) are as good as any: email-validator refuses all but `.test`, so they are checked in its place.
    """
    typed = text.strip()
    if (
        len(typed) <= _PLAIN_LENGTH
        and (plain := _PLAIN_ADDRESS.fullmatch(typed))
        and plain[1] not in _SPECIAL
    ):
        return typed  # what email-validator says of these, which takes twenty times as long to say it
    private = _PRIVATE_DOMAIN.search(typed)
    kept = private[0].lower() if private else ""
    form = f"{typed.removesuffix(private[0])}test" if private else typed
    try:
        found = validate_email(form, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        return None
    return f"{found.normalized.removesuffix('test')}{kept}" if kept else found.normalized


def email_key(text: str) -> str | None:
    """The address as it is compared and searched, or None where it has not the form of one.

    RFC 5321 lets a mail server tell `Ada@` from `ada@`; people and nearly all servers do not, so we do not.
    But folding goes no further than lower case: `faß.de` and `fass.de` belong to two different people (RFC 5894,
    section 7.2), and one of them must not come in as the other.
    """
    form = email_form(text)
    return form.lower() if form else None


def find_time_zone(text: str) -> str | None:
    """The IANA time zone of this name, None where there is none."""
    return text if text in _time_zones() else None


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
