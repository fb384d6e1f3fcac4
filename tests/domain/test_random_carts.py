"""Thousands of random carts in eight currencies: no cent differs from what a model in decimals says."""

import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from app.domain.checkout.quote import shipping_choices
from app.domain.giftcards.split import Balances, Split, split_total
from app.domain.promotions.offers import Offers, Promotion, Scope, Shelf
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.quotes import Line, Place, Quote
from app.domain.stores.queries import ShippingChoice, StoreConfig, Tax, Zone
from app.domain.stores.shipping import Shipping
from app.integrations.stripe_amounts import from_stripe, to_stripe
from app.kit.money import percent_to_basis_points, percent_to_parts_per_million, to_decimal_text, to_minor
from tests.decimal_model import PLACES, SHELVES, Basket, Cost, Deal, cost_of, random_basket

COLLECTIONS = {shelf: number for number, shelf in enumerate(SHELVES, 1)}


def scope_of(shelf: str) -> Scope:
    return Scope("collections", frozenset({COLLECTIONS[shelf]})) if shelf else Scope()


def promotion_of(number: int, deal: Deal, currency: str) -> Promotion:
    """A deal of the model as a merchant sets it up."""
    percent = deal.kind in ("percent", "buy_x_get_y")
    return Promotion(
        id=number,
        title=deal.kind,
        kind=deal.kind,
        value=percent_to_basis_points(f"{deal.value:f}")
        if percent
        else to_minor(f"{deal.value:f}", currency),
        priority=deal.rank,
        combines=not deal.alone,
        scope=scope_of(deal.shelf),
        minimum_purchase=to_minor(f"{deal.least_worth:f}", currency) if deal.least_worth else None,
        minimum_quantity=deal.least_count if deal.least_count > 1 else None,
        limit_items=deal.most,
        buy_quantity=deal.buy,
        get_quantity=deal.get,
        reward=None if deal.other_shelf is None else scope_of(deal.other_shelf),
    )


NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)


def quote_of(basket: Basket) -> Quote:
    """The same basket through our own code, from the texts that people write to the quote."""

    def minor(value: Decimal) -> int:
        return to_minor(f"{value:f}", basket.currency)

    def tax(where: str, name: str, rate: Decimal, tax_class: str = "") -> Tax:
        return Tax("US", where, name, percent_to_parts_per_million(f"{rate:f}"), tax_class)

    region = None if basket.elsewhere is None else "US-NJ"
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
        taxes=(
            *(tax(region or "", f"Tax {number}", rate) for number, rate in enumerate(basket.rates)),
            *(() if basket.elsewhere is None else (tax("", "Elsewhere", basket.elsewhere),)),
            tax("", "Reduced", basket.reduced_rate, "reduced"),
        ),
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
            tax_class="reduced" if item.reduced else "",
        )
        for number, item in enumerate(basket.items, 1)
    ]
    chosen: tuple[Shipping, ...] = shipping_choices(store, lines, country="US", region=region, now=NOW)
    return make_quote(
        store,
        lines,
        place=Place("US", region),
        shipping_option=chosen[0],
        offers=Offers(
            promotions=tuple(
                promotion_of(number, deal, basket.currency) for number, deal in enumerate(basket.deals, 1)
            ),
            shelves={
                number: Shelf(collections=frozenset(COLLECTIONS[shelf] for shelf in item.shelves))
                for number, item in enumerate(basket.items, 1)
            },
        ),
    )


def in_decimals(quote: Quote, split: Split) -> Cost:
    def value(minor: int) -> Decimal:
        return Decimal(to_decimal_text(minor, quote.currency))

    return Cost(
        items=value(quote.items),
        discount=value(quote.discount),
        shipping=value(quote.shipping),
        tax=value(quote.tax),
        total=value(quote.total),
        gift_card=value(split.gift_card),
        store_credit=value(split.store_credit),
        due=value(quote.total - split.covered),
        line_discounts=tuple(value(line.discount) for line in quote.lines),
        line_taxes=tuple(value(line.tax) for line in quote.lines),
    )


def test_no_cent_differs_from_the_decimal_model(sized, figure):
    number = sized(10_000, 1_000)
    dice = random.Random(20_26)
    currencies = list(PLACES)
    ways: Counter[str] = Counter()
    for turn in range(number):
        basket = random_basket(dice, currencies[turn % len(currencies)])
        quote = quote_of(basket)
        card, credit = (to_minor(f"{purse:f}", basket.currency) for purse in (basket.card, basket.credit))
        split = split_total(quote.total, Balances(card, credit, "GIFT"))
        assert in_decimals(quote, split) == cost_of(basket), basket
        finer = any(line.tax_rate % 100 and line.tax for line in quote.lines)
        ways.update(["finer"] * finer)
        ways.update(["card"] * (split.gift_card > 0) + ["credit"] * (split.store_credit > 0))
        # What a payment service is asked for is the same sum, or it is not asked at all.
        due = quote.total - split.covered
        asked = to_stripe(due, basket.currency)
        if asked is not None:
            assert from_stripe(asked, basket.currency) == due
        else:
            assert PLACES[basket.currency] == 3
            assert due % 10
    assert min(ways["card"], ways["credit"]) > number / 5
    assert ways["finer"] > number / 5
    figure(
        f"{number:,} random carts in {len(currencies)} currencies, with promotions, gift cards, store credit "
        "and taxes as fine as 0.0001 %: no cent differs from a Decimal model"
    )


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
                "items": (type(basket.items[0])(cost.items - cost.discount, 1),),
                "deals": (),
            }
        )
        plain = all(item.taxable and not item.reduced for item in basket.items)
        differ += plain and cost_of(one).tax != cost.tax
    assert differ
