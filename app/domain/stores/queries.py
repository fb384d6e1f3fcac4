"""What is read of a store: its whole configuration in one statement."""

from typing import Final, Literal

import msgspec

from app.db.reads import Reads
from app.domain.stores.delivery import DeliveryRules
from app.kit.errors import NotFound, declare
from app.kit.exchange import Exchange, Rounding, exchange_at

STORE_NOT_FOUND: Final = declare(NotFound, "store_not_found", "No store answers to this name.")


class ShippingChoice(msgspec.Struct, frozen=True):
    """A shipping option as set up. Bands in grams, minor units and items, upper bound left out, None where open.

    extra_item is what each item after the first adds. One with a location is fetched there. carrier and its
    service ask for a live rate; only_live hides the option where there is none.
    """

    id: int
    title: str
    price: int
    free_from: int | None
    min_weight_grams: int | None
    max_weight_grams: int | None
    min_price: int | None
    max_price: int | None
    min_days: int | None
    max_days: int | None
    min_items: int | None = None
    max_items: int | None = None
    extra_item: int = 0
    location: str | None = None
    carrier: str | None = None
    carrier_service: str | None = None
    only_live: bool = False


class Zone(msgspec.Struct, frozen=True):
    """Places, by ISO 3166 codes, and the options that reach them."""

    id: int
    name: str
    countries: frozenset[str]
    regions: frozenset[str]
    options: tuple[ShippingChoice, ...]

    def is_whole(self, country: str) -> bool:
        """Whether all of the country is meant: regions narrow the country that they lie in."""
        return country in self.countries and not any(code.startswith(f"{country}-") for code in self.regions)


class Tax(msgspec.Struct, frozen=True):
    """A rate in parts per million; region '' is the whole country, tax_class '' is everything without a class."""

    country: str
    region: str
    name: str
    rate: int
    tax_class: str = ""


class PaymentChoice(msgspec.Struct, frozen=True):
    name: str
    title: str


class CustomerRules(msgspec.Struct, frozen=True):
    """Whether a sign-up may come without a password; then a link to set one is mailed."""

    password_generated: bool = False


class Look(msgspec.Struct, frozen=True):
    """How the store's mails look: its colour as #rrggbb, and the https address of its logo."""

    color: str | None = None
    logo: str | None = None


class NewsletterRules(msgspec.Struct, frozen=True):
    """Whether a subscription begins only once the mailed link was opened."""

    double_opt_in: bool = True


class ReferralRule(msgspec.Struct, frozen=True):
    """What an inviter earns: an amount in minor units, or a share of the first paid order in basis points.

    Nothing where neither is set.
    """

    amount: int | None = None
    share: int | None = None


class SearchRules(msgspec.Struct, frozen=True):
    """Groups of words and phrases that mean the same to those who search."""

    synonyms: tuple[tuple[str, ...], ...] = ()


class OrderRules(msgspec.Struct, frozen=True):
    """Whether a buyer's wish to cancel is granted at once, where nothing is shipped."""

    cancel_at_once: bool = False


class PaymentRules(msgspec.Struct, frozen=True):
    """Whether services take the money with the order, or hold it until it is shipped."""

    capture: Literal["now", "later"] = "now"


class CartRules(msgspec.Struct, frozen=True):
    """Whether whoever left a cart, and wants the shop's mails, is reminded of it by one."""

    remind: bool = False


class CurrencyRule(msgspec.Struct, frozen=True):
    """A currency that is sold in beside the store's own: what one unit of that is worth, as a decimal string.

    Amounts are multiples of round_to, in minor units of this currency.
    """

    code: str
    rate: str
    round_to: int = 1
    rounding: Rounding = "nearest"


class ConsentRule(msgspec.Struct, frozen=True):
    """What buyers are asked to agree to before they pay, in the words that they read."""

    key: str
    text: str
    required: bool = True


class StoreConfig(msgspec.Struct, frozen=True):
    """Everything a request needs to know of its store. Amounts are minor units of its currency.

    exchange says how amounts that stand elsewhere, in the store's own currency, become those of this one.
    """

    id: int
    code: str
    host: str | None
    name: str
    email: str
    currency: str
    language: str
    country: str
    order_prefix: str
    tax_included: bool
    tax_shipping: bool
    cancellation_reasons: tuple[str, ...]
    contact_subjects: tuple[str, ...]
    zones: tuple[Zone, ...]
    taxes: tuple[Tax, ...]
    payment_services: tuple[PaymentChoice, ...]
    customers: CustomerRules = CustomerRules()
    look: Look = Look()
    newsletter: NewsletterRules = NewsletterRules()
    referral: ReferralRule = ReferralRule()
    search: SearchRules = SearchRules()
    pickups: tuple[ShippingChoice, ...] = ()
    delivery: DeliveryRules = DeliveryRules()
    orders: OrderRules = OrderRules()
    payment: PaymentRules = PaymentRules()
    carts: CartRules = CartRules()
    currencies: tuple[CurrencyRule, ...] = ()
    consents: tuple[ConsentRule, ...] = ()
    exchange: Exchange | None = None
    # Whether anything can change what a basket costs; where nothing can, nobody has to ask.
    has_offers: bool = True

    def sells_in(self, currency: str) -> bool:
        """Whether carts can be in this currency."""
        return currency == self.currency or any(rule.code == currency for rule in self.currencies)

    def exchange_to(self, currency: str) -> Exchange | None:
        """How amounts of the store's own currency become those of another; None where that is its own.

        Raises ValueError for a currency that it does not sell in.
        """
        if currency == self.currency:
            return self.exchange
        for rule in self.currencies:
            if rule.code == currency:
                return exchange_at(
                    rule.rate,
                    source=self.currency,
                    target=currency,
                    step=rule.round_to,
                    rounding=rule.rounding,
                )
        raise ValueError(f"the store does not sell in {currency}")

    def convert(self, amount: int, *, source: str, target: str) -> int:
        """An amount of one currency that the store sells in, in another one, by its rates."""
        home, there = self.exchange_to(source), self.exchange_to(target)
        if home is not None:
            amount = home.back(self.currency).convert(amount)
        return amount if there is None else there.convert(amount)

    def selling_in(self, currency: str) -> "StoreConfig":
        """The store as it is to whoever buys in a currency that it sells in: what shipping costs, and how the
        amounts of offers become that currency's.
        """
        exchange = self.exchange_to(currency)
        if exchange is None or exchange is self.exchange:
            return self
        return msgspec.structs.replace(
            self,
            currency=currency,
            exchange=exchange,
            currencies=(),
            zones=tuple(
                msgspec.structs.replace(zone, options=_options_in(exchange, zone.options))
                for zone in self.zones
            ),
            pickups=_options_in(exchange, self.pickups),
        )

    def zone_of(self, country: str, region: str | None) -> Zone | None:
        """The zone that ships there; one that names the region comes before one that names the country."""
        for zone in self.zones:
            if region and region in zone.regions:
                return zone
        return next((zone for zone in self.zones if zone.is_whole(country)), None)

    def tells_regions_apart(self, country: str) -> bool:
        """Whether what an order costs depends on the region of the country that it goes to."""
        start = f"{country}-"
        return any(tax.region.startswith(start) for tax in self.taxes) or any(
            region.startswith(start) for zone in self.zones for region in zone.regions
        )

    def tax_rate(self, country: str, region: str | None, tax_class: str = "") -> int:
        """Parts per million at a place: the region's own rates where there are any, else the country's, added up.

        A class that has rates of its own in the country is taxed by these, any other like everything else.
        """
        here = [tax for tax in self.taxes if tax.country == country]
        own = [tax for tax in here if tax.tax_class == tax_class and (not tax.region or tax.region == region)]
        found = own or [tax for tax in here if not tax.tax_class]
        local = [tax.rate for tax in found if region and tax.region == region]
        return sum(local) if local else sum(tax.rate for tax in found if not tax.region)

    def shipping_countries(self) -> list[str]:
        found = {country for zone in self.zones for country in zone.countries}
        found.update(region.split("-")[0] for zone in self.zones for region in zone.regions)
        return sorted(found)


def _options_in(exchange: Exchange, options: tuple[ShippingChoice, ...]) -> tuple[ShippingChoice, ...]:
    return tuple(
        msgspec.structs.replace(
            option,
            **{
                name: exchange.convert(amount)
                for name in ("price", "extra_item", "free_from", "min_price", "max_price")
                if (amount := getattr(option, name)) is not None
            },
        )
        for option in options
    )


_OPTION: Final = """json_build_object(
    'id', o.id, 'title', o.title, 'price', o.price, 'free_from', o.free_from,
    'min_weight_grams', o.min_weight_grams, 'max_weight_grams', o.max_weight_grams,
    'min_price', o.min_price, 'max_price', o.max_price, 'min_days', o.min_days, 'max_days', o.max_days,
    'min_items', o.min_items, 'max_items', o.max_items, 'extra_item', o.extra_item, 'location', o.location,
    'carrier', o.carrier, 'carrier_service', o.carrier_service, 'only_live', o.only_live
) ORDER BY o.position, o.id"""
_CONFIG: Final = """
SELECT json_build_object(
    'id', s.id, 'code', s.code, 'host', s.host, 'name', s.name, 'email', s.email,
    'currency', s.currency, 'language', s.language, 'country', s.country,
    'order_prefix', s.order_prefix, 'tax_included', s.tax_included, 'tax_shipping', s.tax_shipping,
    'cancellation_reasons', s.cancellation_reasons, 'contact_subjects', s.contact_subjects,
    'zones', (
        SELECT coalesce(json_agg(json_build_object(
            'id', z.id, 'name', z.name, 'countries', z.countries, 'regions', z.regions,
            'options', (
                SELECT coalesce(json_agg(an_option), '[]')
                FROM shipping_options o WHERE o.zone_id = z.id
            )
        ) ORDER BY z.id), '[]')
        FROM shipping_zones z WHERE z.store_id = s.id
    ),
    'pickups', (
        SELECT coalesce(json_agg(an_option), '[]')
        FROM shipping_options o WHERE o.store_id = s.id AND o.zone_id IS NULL
    ),
    'taxes', (
        SELECT coalesce(json_agg(json_build_object(
            'country', t.country, 'region', t.region, 'name', t.name, 'rate', t.rate_ppm,
            'tax_class', t.tax_class
        ) ORDER BY t.id), '[]')
        FROM tax_rates t WHERE t.store_id = s.id
    ),
    'payment_services', (
        SELECT coalesce(json_agg(json_build_object('name', p.name, 'title', p.title)
            ORDER BY p.position, p.name), '[]')
        FROM store_payment_services p WHERE p.store_id = s.id AND p.enabled
    ),
    'customers', coalesce(s.settings->'customers', '{}'),
    'look', coalesce(s.settings->'look', '{}'),
    'newsletter', coalesce(s.settings->'newsletter', '{}'),
    'referral', coalesce(s.settings->'referral', '{}'),
    'search', coalesce(s.settings->'search', '{}'),
    'delivery', coalesce(s.settings->'delivery', '{}'),
    'orders', coalesce(s.settings->'orders', '{}'),
    'payment', coalesce(s.settings->'payment', '{}'),
    'carts', coalesce(s.settings->'carts', '{}'),
    'currencies', coalesce(s.settings->'currencies', '[]'),
    'consents', coalesce(s.settings->'consents', '[]'),
    'has_offers', EXISTS (SELECT 1 FROM promotions p WHERE p.store_id = s.id AND p.enabled)
        OR EXISTS (SELECT 1 FROM unit_prices u WHERE u.store_id = s.id)
) FROM stores s WHERE s.id = $1
""".replace("an_option", _OPTION)

# A single store answers to every name; among several, X-Store comes before the host name.
_STORE_ID: Final = """
SELECT CASE
    WHEN (SELECT count(*) FROM (SELECT 1 FROM stores LIMIT 2) few) = 1 THEN (SELECT id FROM stores)
    WHEN $1::text <> '' THEN (SELECT id FROM stores WHERE code = $1)
    ELSE (SELECT id FROM stores WHERE host = $2)
END
"""


async def get_store_id(reads: Reads, *, code: str, host: str) -> int:
    """The store meant by X-Store (code, may be empty) and host name. Raises NotFound store_not_found."""
    found: int | None = await reads.fetchval(_STORE_ID, code, host)
    if found is None:
        raise NotFound(STORE_NOT_FOUND, "No store answers to this name.")
    return found


async def get_store_config(reads: Reads, store_id: int) -> StoreConfig:
    """The configuration of a store. Raises NotFound store_not_found."""
    found: str | None = await reads.fetchval(_CONFIG, store_id)
    if found is None:
        raise NotFound(STORE_NOT_FOUND, "No such store.")
    return msgspec.json.decode(found, type=StoreConfig)
