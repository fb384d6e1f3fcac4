"""Thousands of random carts in eight currencies: no cent differs from what a model in decimals says."""

import random
from datetime import UTC, datetime
from decimal import Decimal

from app.domain.checkout.quote import Line, Quote, make_quote, shipping_choices
from app.domain.stores.queries import ShippingChoice, StoreConfig, Zone
from app.domain.stores.shipping import Shipping
from app.integrations.stripe_amounts import from_stripe, to_stripe
from app.kit.money import percent_to_basis_points, to_decimal_text, to_minor
from tests.decimal_model import PLACES, Basket, Cost, cost_of, random_basket

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)


def quote_of(basket: Basket) -> Quote:
    """The same basket through our own code, from the texts that people write to the quote."""

    def minor(value: Decimal) -> int:
        return to_minor(f"{value:f}", basket.currency)

    open_bands = dict.fromkeys(("min_weight_grams", "max_weight_grams", "min_price", "max_price"))
    choice = ShippingChoice(
        id=1,
        title="Parcel",
        price=minor(basket.shipping),
        free_from=None if basket.free_from is None else minor(basket.free_from),
        min_days=None,
        max_days=None,
        **open_bands,
    )
    store = StoreConfig(
        id=1,
        code="s",
        host=None,
        name="S",
        email="s@example.com",
        currency=basket.currency,
        language="en",
        country="US",
        order_prefix="#",
        tax_included=basket.included,
        tax_shipping=basket.taxed_shipping,
        cancellation_reasons=(),
        contact_subjects=(),
        zones=(Zone(1, "US", frozenset({"US"}), frozenset(), (choice,)),),
        taxes=(),
        payment_services=(),
    )
    lines = [
        Line(
            variant_id=number,
            product_id=number,
            title="Mug",
            variant_title="",
            sku=None,
            image=None,
            quantity=item.quantity,
            price=minor(item.price),
            grams=100,
            taxable=item.taxable,
            requires_shipping=True,
        )
        for number, item in enumerate(basket.items, 1)
    ]
    chosen: tuple[Shipping, ...] = shipping_choices(store, lines, country="US", region=None, now=NOW)
    return make_quote(
        store,
        lines,
        tax_rate=percent_to_basis_points(f"{basket.rate:f}"),
        shipping_option=chosen[0],
        discount=minor(basket.discount),
    )


def in_decimals(quote: Quote) -> Cost:
    def value(minor: int) -> Decimal:
        return Decimal(to_decimal_text(minor, quote.currency))

    return Cost(
        items=value(quote.items),
        discount=value(quote.discount),
        shipping=value(quote.shipping),
        tax=value(quote.tax),
        total=value(quote.total),
        line_discounts=tuple(value(line.discount) for line in quote.lines),
        line_taxes=tuple(value(line.tax) for line in quote.lines),
    )


def test_no_cent_differs_from_the_decimal_model(sized, figure):
    number = sized(10_000, 1_000)
    dice = random.Random(20_26)
    currencies = list(PLACES)
    for turn in range(number):
        basket = random_basket(dice, currencies[turn % len(currencies)])
        quote = quote_of(basket)
        assert in_decimals(quote) == cost_of(basket), basket
        # What a payment service is asked for is the same sum, or it is not asked at all.
        asked = to_stripe(quote.total, basket.currency)
        if asked is not None:
            assert from_stripe(asked, basket.currency) == quote.total
        else:
            assert PLACES[basket.currency] == 3
            assert quote.total % 10
    figure(f"{number:,} random carts in {len(currencies)} currencies: no cent differs from a Decimal model")


def test_the_model_sees_a_cent_that_goes_missing():
    """The control: tax on the sum instead of on each line, as some shops have it, is another tax."""
    dice = random.Random(1)
    differ = 0
    for _ in range(200):
        basket = random_basket(dice, "USD")
        cost = cost_of(basket)
        one = Basket(
            **{
                **vars(basket),
                "items": (type(basket.items[0])(cost.items, 1),),
                "discount": cost.discount,
            }
        )
        differ += all(item.taxable for item in basket.items) and cost_of(one).tax != cost.tax
    assert differ
