"""The quote: its totals follow from its lines, to the cent."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.domain.checkout.quote import shipping_choices
from app.domain.promotions.offers import Offers, Promotion
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.quotes import Line, Place
from app.domain.stores.queries import ShippingChoice, StoreConfig, Tax, Zone
from app.domain.stores.shipping import Shipping

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)


def store(*, tax_included=False, tax_shipping=False, zones=(), taxes=()):
    return StoreConfig(
        id=1,
        code="s",
        host=None,
        name="S",
        email="s@example.com",
        currency="USD",
        language="en",
        country="US",
        order_prefix="#",
        tax_included=tax_included,
        tax_shipping=tax_shipping,
        cancellation_reasons=(),
        contact_subjects=(),
        zones=zones,
        taxes=taxes,
        payment_services=(),
    )


def line(price=1000, quantity=1, *, taxable=True, requires_shipping=True, grams=100, variant_id=1):
    return Line(
        variant_id=variant_id,
        product_id=1,
        title="Mug",
        variant_title="",
        sku=None,
        image=None,
        quantity=quantity,
        price=price,
        grams=grams,
        taxable=taxable,
        requires_shipping=requires_shipping,
    )


lines = st.lists(
    st.builds(
        line,
        price=st.integers(0, 10**7),
        quantity=st.integers(1, 999),
        taxable=st.booleans(),
    ),
    max_size=12,
)


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


@given(
    lines, st.integers(0, 300_000), st.integers(0, 5000), st.integers(0, 10**8), st.booleans(), st.booleans()
)
def test_a_quote_agrees_with_a_decimal_model(basket, rate, shipping_price, discount, included, tax_shipping):
    quote = make_quote(
        store(tax_included=included, tax_shipping=tax_shipping, taxes=(Tax("US", "", "Tax", rate),)),
        basket,
        place=Place("US", None),
        shipping_option=Shipping(1, "Parcel", shipping_price, 1, 2),
        offers=Offers(promotions=(Promotion(id=1, title="Off", kind="fixed_amount", value=discount),)),
    )

    def tax_of(value: int) -> int:
        part = Decimal(rate) / (1_000_000 + rate) if included else Decimal(rate) / 1_000_000
        return half_up(Decimal(value) * part)

    assert quote.items == sum(entry.price * entry.quantity for entry in basket)
    assert quote.discount == min(discount, quote.items)
    assert sum(entry.discount for entry in quote.lines) == quote.discount
    assert all(quote.gross(q) - quote.net(q) == q.tax for q in quote.lines)
    taxes = [tax_of(q.line_price - q.discount) if q.line.taxable else 0 for q in quote.lines]
    assert [q.tax for q in quote.lines] == taxes
    assert quote.tax == sum(taxes) + (tax_of(shipping_price) if tax_shipping else 0)
    added = 0 if included else quote.tax
    assert quote.total == quote.items - quote.discount + quote.shipping + added
    assert quote.total >= 0


def choice(**bands):
    known = dict.fromkeys(
        (
            "free_from",
            "min_weight_grams",
            "max_weight_grams",
            "min_price",
            "max_price",
            "min_days",
            "max_days",
        )
    )
    return ShippingChoice(id=1, title="Parcel", price=500, **{**known, **bands})


def prices(option, basket, country="US", region=None):
    shop = store(zones=(Zone(1, "Z", frozenset({"US"}), frozenset({"CA-QC"}), (option,)),))
    return [found.price for found in shipping_choices(shop, basket, country=country, region=region, now=NOW)]


def test_shipping_is_free_from_its_amount():
    assert prices(choice(free_from=5000), [line(4999)]) == [500]
    assert prices(choice(free_from=5000), [line(2500, 2)]) == [0]


def test_bands_take_in_the_lower_bound_and_leave_out_the_upper():
    option = choice(min_weight_grams=1000, max_weight_grams=2000)
    assert prices(option, [line(grams=999)]) == []
    assert prices(option, [line(grams=500, quantity=2)]) == [500]
    assert prices(option, [line(grams=2000)]) == []


def test_a_zone_is_found_by_country_or_by_region():
    assert prices(choice(), [line()], country="CA", region="CA-QC") == [500]
    assert prices(choice(), [line()], country="CA", region="CA-ON") == []


def test_what_is_not_shipped_needs_no_option():
    assert prices(choice(), [line(requires_shipping=False)]) == []


def test_a_regions_tax_replaces_its_countrys():
    shop = store(taxes=(Tax("US", "", "Federal", 100), Tax("US", "US-OR", "State", 250)))
    assert shop.tax_rate("US", "US-OR") == 250
    assert shop.tax_rate("US", "US-NY") == 100
    assert shop.tax_rate("DE", None) == 0


def test_the_rates_of_a_region_add_up_as_fine_as_they_are_and_the_sum_is_rounded_once_a_line():
    """Quebec: 5 % and 9.975 %, beside a country that has 5 % alone."""
    quebec = (
        Tax("CA", "", "GST", 50_000),
        Tax("CA", "CA-QC", "GST", 50_000),
        Tax("CA", "CA-QC", "QST", 99_750),
    )

    def tax(price, place, **how):
        quote = make_quote(store(taxes=quebec, **how), [line(price)], place=place, shipping_option=None)
        return quote.lines[0].tax_rate, quote.tax

    # 10.00: 1.4975. 100.00 that include it: 100 * 149750 / 1149750 = 13.02457...
    assert tax(1000, Place("CA", "CA-QC")) == (149_750, 150)
    assert tax(10_000, Place("CA", "CA-QC"), tax_included=True) == (149_750, 1302)
    assert tax(1000, Place("CA", "CA-BC")) == (50_000, 50)


def test_a_class_with_rates_of_its_own_is_taxed_by_these_and_any_other_like_the_rest():
    shop = store(
        taxes=(
            Tax("US", "", "Federal", 1000),
            Tax("US", "US-OR", "State", 250),
            Tax("US", "", "Food", 300, "food"),
            Tax("US", "US-CA", "Books", 0, "books"),
        )
    )
    assert shop.tax_rate("US", "US-OR", "food") == 300
    assert shop.tax_rate("US", "US-CA", "books") == 0
    assert shop.tax_rate("US", "US-OR", "books") == 250
    assert shop.tax_rate("US", "US-NY", "toys") == 1000


def test_a_zone_with_regions_holds_only_these_of_their_country():
    far = Zone(1, "Far", frozenset({"US", "CA"}), frozenset({"US-AK", "US-HI"}), ())
    near = Zone(2, "Near", frozenset({"US"}), frozenset(), ())
    shop = store(zones=(far, near))
    assert shop.zone_of("US", "US-AK") is far
    assert shop.zone_of("US", "US-OR") is near
    assert shop.zone_of("US", None) is near
    assert shop.zone_of("CA", "CA-ON") is far
    assert shop.zone_of("JP", None) is None
