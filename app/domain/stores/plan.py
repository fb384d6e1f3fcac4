"""What a shop file says of a store: its form, and the checks that need neither database nor clock.

Money and percentages are decimal strings, so that no float ever touches them. A section that stands in the
file is the whole truth of its matter: what it does not name is removed. A section that does not stand there
is left as it is.
"""

from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Annotated, Final, Literal

import msgspec
import pycountry
from msgspec import UNSET, Meta, UnsetType

from app.domain.stores.delivery import Weekday
from app.kit.errors import FieldError, Invalid, declare
from app.kit.exchange import Rounding
from app.kit.money import (
    BASIS_POINTS,
    MoneyError,
    is_currency,
    percent_to_basis_points,
    percent_to_parts_per_million,
    to_minor,
)
from app.kit.places import find_time_zone
from app.kit.words import LONGEST_PHRASE, split_words

INVALID_PLAN: Final = declare(
    Invalid, "invalid_shop_file", "The shop file cannot be applied; `errors` names each place."
)
# Services that a store can offer; those of other companies also need their keys in the environment.
PAYMENT_SERVICES: Final = frozenset({"manual", "free_payment", "test", "stripe", "paypal"})

Line = Annotated[str, Meta(min_length=1, max_length=200)]
Amount = Annotated[str, Meta(pattern=r"^\d{1,12}(\.\d{1,4})?$")]
Items = Annotated[int, Meta(ge=0, le=1_000_000)]
Days = Annotated[int, Meta(ge=0, le=365)]
Grams = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Color = Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$")]


class StorePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [store] section. What is left out keeps its value, or gets the usual one in a new store."""

    code: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "default"
    name: Line | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] | UnsetType = UNSET
    email: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | UnsetType = UNSET
    country: str | UnsetType = UNSET
    host: Line | UnsetType = UNSET
    order_prefix: Annotated[str, Meta(max_length=10)] | UnsetType = UNSET
    first_order_number: Annotated[int, Meta(ge=1, le=10**12)] | UnsetType = UNSET
    tax_included: bool | UnsetType = UNSET
    tax_shipping: bool | UnsetType = UNSET
    contact_subjects: list[Line] | UnsetType = UNSET


class OptionPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to ship. Bands include their lower bound and leave out the upper one.

    price is for the first item, extra_item for each further one. carrier names whom to ask for today's price
    of its service carrier_service; where no answer comes the price counts, unless only_live hides the option.
    """

    title: Line
    price: Amount
    free_from: Amount | None = None
    min_weight_grams: Grams | None = None
    max_weight_grams: Grams | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    min_days: Days | None = None
    max_days: Days | None = None
    min_items: Items | None = None
    max_items: Items | None = None
    extra_item: Amount = "0"
    carrier: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] | None = None
    carrier_service: Line | None = None
    only_live: bool = False


class PickupPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place where goods can be fetched; location is its address and hours, as shoppers read it."""

    title: Line
    location: Annotated[str, Meta(min_length=1, max_length=500)]
    price: Amount = "0"
    free_from: Amount | None = None
    min_days: Days | None = None
    max_days: Days | None = None


class DeliveryPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [delivery] section: which days do not count, and after which time of day tomorrow does."""

    time_zone: Line = "UTC"
    closed: tuple[Weekday, ...] = ("sat", "sun")
    holidays: Annotated[tuple[date, ...], Meta(max_length=400)] = ()
    cut_off: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None


class ZonePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Places by ISO 3166 codes, and the ways to ship there."""

    name: Line
    countries: list[str] = []
    regions: list[str] = []
    options: list[OptionPlan] = []


class TaxPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tax of a country, or of an ISO 3166-2 region of it; rate is a percentage with at most four decimals.

    tax_class is the tax code of the variants that it is for; without one it is for all others.
    """

    country: str
    name: Line
    rate: str
    region: str = ""
    tax_class: Annotated[str, Meta(max_length=100)] = ""


class ServicePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a payment service stands in this store."""

    enabled: bool = True
    title: Line | UnsetType = UNSET


class ReasonPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shopper may give as the reason for a cancellation."""

    title: Line
    code: str = ""


class CustomersPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [customers] section. password_generated: a sign-up may come without a password."""

    password_generated: bool = False


class LookPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [look] section: how the store's mails look."""

    color: Color | None = None
    logo: Annotated[str, Meta(pattern=r"^https://[^\s\"'<>]+$", max_length=500)] | None = None


class NewsletterPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [newsletter] section."""

    double_opt_in: bool = True


class ReferralPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [referral] section: what an inviter earns with the first paid order of whom they invited.

    A fixed reward, or a percentage of what that order's goods cost; nothing where neither is named.
    """

    reward: Amount | None = None
    percent: str | None = None


class SearchPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [search] section: groups of words and phrases that mean the same to those who search."""

    synonyms: Annotated[list[Annotated[list[Line], Meta(max_length=20)]], Meta(max_length=500)] = []


class OrdersPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [orders] section: whether buyers cancel by themselves while nothing is shipped."""

    cancel_at_once: bool = False


class PaymentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [payment] section: whether services take the money with the order, or once it is shipped."""

    capture: Literal["now", "later"] = "now"


class CartsPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [carts] section: whether a newsletter's reader is reminded of a cart that they left."""

    remind: bool = False


class CurrencyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of [[currencies]]: what one unit of the store's own currency is worth in this one, and how prices look.

    Amounts are multiples of round_to ("0.05", "100"), the nearest or the next one up or down.
    """

    code: str
    rate: Annotated[str, Meta(pattern=r"^\d{1,9}(\.\d{1,12})?$")]
    round_to: Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d{1,4})?$")] | None = None
    rounding: Rounding = "nearest"


class ConsentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of [[consents]]: what buyers agree to, in these words; a required one before they can pay."""

    key: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    text: Annotated[str, Meta(min_length=1, max_length=1000)]
    required: bool = True


class StoreFile(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of a shop file that speak of the store itself."""

    store: StorePlan = StorePlan()
    colors: dict[Line, Color] | UnsetType = UNSET
    customers: CustomersPlan | UnsetType = UNSET
    look: LookPlan | UnsetType = UNSET
    newsletter: NewsletterPlan | UnsetType = UNSET
    shipping_zones: list[ZonePlan] | UnsetType = UNSET
    pickups: list[PickupPlan] | UnsetType = UNSET
    delivery: DeliveryPlan | UnsetType = UNSET
    tax_rates: list[TaxPlan] | UnsetType = UNSET
    payment_services: dict[str, ServicePlan] | UnsetType = UNSET
    cancellation_reasons: list[ReasonPlan] | UnsetType = UNSET
    referral: ReferralPlan | UnsetType = UNSET
    search: SearchPlan | UnsetType = UNSET
    orders: OrdersPlan | UnsetType = UNSET
    payment: PaymentPlan | UnsetType = UNSET
    carts: CartsPlan | UnsetType = UNSET
    currencies: Annotated[list[CurrencyPlan], Meta(max_length=50)] | UnsetType = UNSET
    consents: Annotated[list[ConsentPlan], Meta(max_length=20)] | UnsetType = UNSET


def check_store_file(file: StoreFile, *, currency: str) -> None:
    """Check what types cannot say, in the currency that the store will have. Raises Invalid with all faults."""
    errors = [
        FieldError(path, "invalid_shop_file", message)
        for faults in (
            _check_store(file.store),
            _check_zones(file.shipping_zones or [], currency),
            _check_pickups(file.pickups or [], currency),
            _check_delivery(file.delivery or DeliveryPlan()),
            _check_taxes(file.tax_rates or []),
            _check_services(file.payment_services or {}),
            _check_referral(file.referral or ReferralPlan(), currency),
            _check_search(file.search or SearchPlan()),
            _check_currencies(file.currencies or [], currency),
            _check_unique("consents", "key", [consent.key for consent in file.consents or []]),
        )
        for path, message in faults
    ]
    if errors:
        first = f"{errors[0].field}: {errors[0].message}"
        raise Invalid(INVALID_PLAN, f"The shop file cannot be applied: {first}.", errors=errors)


Fault = tuple[str, str]


def _check_store(store: StorePlan) -> Iterator[Fault]:
    if store.currency and not is_currency(store.currency):
        yield "store.currency", f"{store.currency!r} is no currency of ISO 4217"
    if store.country:
        yield from _check_country("store.country", store.country)


def _check_currencies(plans: list[CurrencyPlan], currency: str) -> Iterator[Fault]:
    yield from _check_unique("currencies", "code", [plan.code for plan in plans])
    for index, plan in enumerate(plans):
        path = f"currencies[{index}]"
        if not is_currency(plan.code):
            yield f"{path}.code", f"{plan.code!r} is no currency of ISO 4217"
            continue
        if plan.code == currency:
            yield f"{path}.code", "is the store's own currency, which needs no rate"
        if not any(digit in "123456789" for digit in plan.rate):
            yield f"{path}.rate", "is more than nothing"
        try:
            if plan.round_to is not None and to_minor(plan.round_to, plan.code) == 0:
                yield f"{path}.round_to", "is more than nothing"
        except MoneyError as error:
            yield f"{path}.round_to", str(error)


def _check_zones(zones: list[ZonePlan], currency: str) -> Iterator[Fault]:
    yield from _check_unique("shipping_zones", "name", [zone.name for zone in zones])
    for index, zone in enumerate(zones):
        path = f"shipping_zones[{index}]"
        if not zone.countries and not zone.regions:
            yield path, "a zone needs countries or regions"
        for country in zone.countries:
            yield from _check_country(f"{path}.countries", country)
        for region in zone.regions:
            yield from _check_region(f"{path}.regions", region)
        yield from _check_unique(f"{path}.options", "title", [option.title for option in zone.options])
        for place, option in enumerate(zone.options):
            yield from _check_option(f"{path}.options[{place}]", option, currency)


def _check_pickups(pickups: list[PickupPlan], currency: str) -> Iterator[Fault]:
    yield from _check_unique("pickups", "title", [pickup.title for pickup in pickups])
    for index, pickup in enumerate(pickups):
        yield from _check_option(f"pickups[{index}]", pickup, currency)


def _check_delivery(delivery: DeliveryPlan) -> Iterator[Fault]:
    if find_time_zone(delivery.time_zone) is None:
        yield "delivery.time_zone", f"{delivery.time_zone!r} is no time zone, as Europe/Zurich"
    if len(set(delivery.closed)) == 7:
        yield "delivery.closed", "one day of the week at least must be open"


def _check_option(path: str, option: OptionPlan | PickupPlan, currency: str) -> Iterator[Fault]:
    for name in ("price", "extra_item", "free_from", "min_price", "max_price"):
        value = getattr(option, name, None)
        if value is not None:
            try:
                to_minor(value, currency)
            except MoneyError as error:
                yield f"{path}.{name}", str(error)
                return
    for low, high in (
        ("min_weight_grams", "max_weight_grams"), ("min_price", "max_price"), ("min_days", "max_days"),
        ("min_items", "max_items"),
    ):  # fmt: skip
        least, most = getattr(option, low, None), getattr(option, high, None)
        if isinstance(least, str) and isinstance(most, str):
            least, most = to_minor(least, currency), to_minor(most, currency)
        if least is not None and most is not None and least > most:
            yield f"{path}.{high}", f"is below {low}"
    if (
        isinstance(option, OptionPlan)
        and option.carrier is None
        and (option.carrier_service or option.only_live)
    ):
        yield f"{path}.carrier", "a service or only_live needs the carrier that is asked"


def _check_taxes(taxes: list[TaxPlan]) -> Iterator[Fault]:
    keys = [f"{tax.country} {tax.region} {tax.name} {tax.tax_class}".strip() for tax in taxes]
    yield from _check_unique("tax_rates", "country, region, name and class", keys)
    for index, tax in enumerate(taxes):
        path = f"tax_rates[{index}]"
        yield from _check_country(f"{path}.country", tax.country)
        if tax.region:
            yield from _check_region(f"{path}.region", tax.region)
            if not tax.region.startswith(f"{tax.country}-"):
                yield f"{path}.region", f"{tax.region} is no region of {tax.country}"
        try:
            percent_to_parts_per_million(tax.rate)
        except MoneyError as error:
            yield f"{path}.rate", str(error)


def _check_services(services: dict[str, ServicePlan]) -> Iterator[Fault]:
    for name in services:
        if name not in PAYMENT_SERVICES:
            yield f"payment_services.{name}", f"is not one of {', '.join(sorted(PAYMENT_SERVICES))}"


def _check_referral(referral: ReferralPlan, currency: str) -> Iterator[Fault]:
    if referral.reward is not None and referral.percent is not None:
        yield "referral.percent", "a reward is either fixed or a percentage"
    try:
        if referral.reward is not None and to_minor(referral.reward, currency) == 0:
            yield "referral.reward", "a reward is more than nothing; leave it out to switch rewards off"
    except MoneyError as error:
        yield "referral.reward", str(error)
    try:
        if referral.percent is not None and not 0 < percent_to_basis_points(referral.percent) <= BASIS_POINTS:
            yield "referral.percent", "a share is more than nothing, and at most 100 percent"
    except MoneyError as error:
        yield "referral.percent", str(error)


def _check_search(search: SearchPlan) -> Iterator[Fault]:
    for index, group in enumerate(search.synonyms):
        path = f"search.synonyms[{index}]"
        if len({text.casefold() for text in group}) < 2:
            yield path, "two words at least can mean the same"
        for text in group:
            words = split_words(text)
            if not 1 <= len(words) <= LONGEST_PHRASE:
                yield path, f"{text!r} is no word or phrase of {LONGEST_PHRASE} words at most"


def _check_country(path: str, code: str) -> Iterator[Fault]:
    if pycountry.countries.get(alpha_2=code) is None or not code.isupper():
        yield path, f"{code!r} is no country code of ISO 3166-1, as US"


def _check_region(path: str, code: str) -> Iterator[Fault]:
    if code not in _regions():
        yield path, f"{code!r} is no region code of ISO 3166-2, as US-CA"


@cache
def _regions() -> frozenset[str]:
    return frozenset(region.code for region in pycountry.subdivisions)


def _check_unique(path: str, what: str, values: list[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield f"{path}[{index}]", f"the {what} {value!r} stands there twice"
        seen.add(value)
