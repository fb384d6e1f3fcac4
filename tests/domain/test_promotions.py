"""What promotions take off a basket, and every reason for which one does not count."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.catalogue.sale_items import Prices, UnitPrice, prices_in
from app.domain.promotions.codes import code_key, mail_digest, new_codes
from app.domain.promotions.offers import Buyer, Offers, Promotion, Scope, Shelf
from app.domain.promotions.pricing import make_quote
from app.domain.promotions.quotes import Place
from app.domain.stores.shipping import Shipping
from app.kit.exchange import exchange_at
from tests.domain.test_quote import line, store

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
US = Place("US", None)
PARCEL = Shipping(1, "Parcel", 500, None, None)
THIRDS = [line(1000, variant_id=1), line(1000, variant_id=2), line(1000, variant_id=3)]


def promotion(kind="percent", value=1000, *, number=1, **fields):
    return Promotion(id=number, title="Offer", kind=kind, value=value, **fields)


def quote(basket, *promotions, code=None, shipping=PARCEL, place=US, **facts):
    offers = Offers(now=NOW, promotions=promotions, code=code, **facts)
    return make_quote(store(), basket, place=place, shipping_option=shipping, offers=offers)


def refused(basket, found, **facts):
    """Why a coupon of this promotion does not count on a basket."""
    coupon = quote(basket, found, code="SAVE", **facts).coupon
    return coupon.refusal and (coupon.refusal.code, coupon.refusal.missing)


def coupon_of(**fields):
    return promotion(code="SAVE", coupon_id=1, **fields)


def test_a_percentage_is_of_the_sum_and_its_shares_sum_to_it():
    found = quote([line(5, variant_id=n) for n in range(1, 4)], promotion())
    assert (found.discount, [entry.discount for entry in found.lines]) == (2, [1, 1, 0])


def test_a_fixed_amount_takes_no_more_than_there_is():
    assert quote([line(300)], promotion("fixed_amount", 500)).discount == 300


def test_a_fixed_price_is_each_units_own_and_raises_none():
    found = quote([line(1000, 3, variant_id=1), line(200, variant_id=2)], promotion("fixed_price", 700))
    assert [entry.discount for entry in found.lines] == [900, 0]


def test_only_the_cheapest_units_are_reduced_where_their_number_is_limited():
    found = quote(
        [line(1000, 2, variant_id=1), line(400, 1, variant_id=2)], promotion(value=5000, limit_items=2)
    )
    assert [entry.discount for entry in found.lines] == [500, 200]


@pytest.mark.parametrize(("units", "free"), [(2, 0), (3, 1), (5, 1), (6, 2)])
def test_buy_two_get_one_gives_the_third(units, free):
    deal = promotion("buy_x_get_y", 10_000, buy_quantity=2, get_quantity=1)
    assert quote([line(1000, units)], deal).discount == free * 1000


def test_what_is_given_can_be_another_thing_and_the_cheapest_of_it_comes_first():
    deal = promotion(
        "buy_x_get_y",
        5000,
        buy_quantity=1,
        get_quantity=1,
        scope=Scope("variants", frozenset({1})),
        reward=Scope("variants", frozenset({2, 3})),
    )
    found = quote([line(9000, variant_id=1), line(800, variant_id=2), line(600, variant_id=3)], deal)
    assert [entry.discount for entry in found.lines] == [0, 0, 300]


def test_free_shipping_takes_off_the_shipping_and_nothing_of_the_lines():
    found = quote([line(1000)], promotion("free_shipping", 0))
    assert (found.shipping, found.shipping_discount, found.discount, found.total) == (0, 500, 0, 1000)


def test_a_gift_is_a_line_of_its_own_that_costs_nothing():
    gift = line(0, variant_id=9)
    found = quote([line(1000)], promotion("gift", 0, gift_variant_id=9), gifts={9: gift})
    assert [(entry.line.variant_id, entry.line_price) for entry in found.lines] == [(1, 1000), (9, 0)]
    assert (found.items, found.discount) == (1000, 0)


def test_two_promotions_give_the_same_thing_only_while_there_are_two_of_it():
    twice = [promotion("gift", 0, gift_variant_id=9), promotion("gift", 0, gift_variant_id=9)]
    for spare, gifts in (({}, 2), ({9: 2}, 2), ({9: 1}, 1)):
        found = quote([line(1000)], *twice, gifts={9: line(0, variant_id=9)}, spare=spare)
        assert [entry.line.variant_id for entry in found.lines] == [1, *[9] * gifts], spare
        assert len(found.applied) == gifts


def test_a_gift_that_has_to_be_shipped_does_not_join_what_is_not():
    gift = line(0, variant_id=9)
    digital = [line(1000, requires_shipping=False)]
    deal = coupon_of(kind="gift", value=0, gift_variant_id=9)
    assert refused(digital, deal, gifts={9: gift}) == ("coupon_gift_unavailable", None)


def test_what_stands_for_money_is_never_reduced():
    card = msgspec.structs.replace(line(5000), gift_card=True)
    assert refused([card], coupon_of()) == ("coupon_no_matching_items", None)


@pytest.mark.parametrize(
    ("scope", "takes"),
    [
        (Scope(), 300),
        (Scope("variants", frozenset({2})), 100),
        (Scope("products", frozenset({1})), 300),
        (Scope("collections", frozenset({7})), 300),
        (Scope("collections", frozenset({8})), 0),
        (Scope("types", frozenset({3})), 300),
        (Scope("types", frozenset({4})), 0),
    ],
)
def test_a_promotion_is_for_what_is_named(scope, takes):
    shelves = {1: Shelf(type_id=3, collections=frozenset({7}))}
    assert quote(THIRDS, promotion(scope=scope), shelves=shelves).discount == takes


def test_higher_priorities_come_first_and_later_ones_take_of_what_is_left():
    half = promotion(value=5000, number=1)
    tenner = promotion("fixed_amount", 1000, number=2, priority=5)
    assert quote([line(3000)], half, tenner).discount == 1000 + 1000
    assert quote([line(3000)], half, promotion("fixed_amount", 1000, number=2)).discount == 1500 + 1000


def test_what_does_not_combine_stands_alone():
    alone = promotion(value=2000, number=1, priority=5, combines=False)
    other = promotion(number=2)
    assert [entry.promotion_id for entry in quote(THIRDS, alone, other).applied] == [1]
    late = promotion(value=2000, number=1, combines=False)
    first = promotion(number=2, priority=5)
    assert [entry.promotion_id for entry in quote(THIRDS, late, first).applied] == [2]


def test_a_typed_coupon_comes_before_what_comes_by_itself():
    automatic = promotion(value=5000, number=1, combines=False)
    found = quote(THIRDS, automatic, coupon_of(number=2), code="SAVE")
    assert (found.coupon.discount, found.coupon.refusal, found.discount) == (300, None, 300)


@pytest.mark.parametrize(
    ("fields", "facts", "code"),
    [
        ({"starts_at": NOW + timedelta(seconds=1)}, {}, "coupon_not_started"),
        ({"ends_at": NOW}, {}, "coupon_expired"),
        ({"used_up": True}, {}, "coupon_used_up"),
        ({"used_by_buyer": True}, {}, "coupon_already_used"),
        ({"groups": frozenset({"trade"})}, {}, "coupon_login_required"),
        ({"groups": frozenset({"trade"})}, {"buyer": Buyer(1)}, "coupon_not_for_customer"),
        ({"customer_ids": frozenset({2})}, {"buyer": Buyer(1)}, "coupon_not_for_customer"),
        ({"first_order": True}, {"buyer": Buyer(1, orders=1)}, "coupon_first_order_only"),
        ({"countries": frozenset({"CA"})}, {}, "coupon_not_in_country"),
        ({"scope": Scope("variants", frozenset({99}))}, {}, "coupon_no_matching_items"),
        ({"kind": "gift", "value": 0, "gift_variant_id": 9}, {}, "coupon_gift_unavailable"),
        ({"kind": "fixed_price", "value": 5000}, {}, "coupon_without_effect"),
    ],
)
def test_a_refused_coupon_says_why(fields, facts, code):
    assert refused(THIRDS, coupon_of(**fields), **facts) == (code, None)


def test_a_refused_coupon_says_how_much_is_missing():
    assert refused(THIRDS, coupon_of(minimum_purchase=3500)) == ("coupon_minimum_purchase", 500)
    assert refused(THIRDS, coupon_of(minimum_purchase=3000)) is None
    assert refused(THIRDS, coupon_of(minimum_quantity=5)) == ("coupon_minimum_quantity", 2)


def test_a_coupon_that_another_promotion_leaves_no_room_for_says_so():
    alone = promotion(number=2, priority=9, combines=False)
    found = quote(THIRDS, coupon_of(), alone, code="SAVE")
    assert found.coupon.refusal.code == "coupon_not_combinable"
    assert quote(THIRDS, code="SAVE").coupon.refusal.code == "coupon_not_found"


def test_a_member_of_the_group_and_a_named_customer_get_it():
    named = coupon_of(customer_ids=frozenset({2}), groups=frozenset({"trade"}))
    assert refused(THIRDS, named, buyer=Buyer(1, groups=frozenset({"trade"}))) is None
    assert refused(THIRDS, named, buyer=Buyer(2)) is None


def test_what_is_not_known_yet_refuses_no_coupon_but_keeps_an_automatic_one_waiting():
    conditions = {"first_order": True, "countries": frozenset({"CA"})}
    assert refused(THIRDS, coupon_of(**conditions), place=None) is None
    assert quote(THIRDS, promotion(**conditions), place=None).applied == ()


def test_the_best_price_for_the_quantity_and_the_group_counts():
    prices = (UnitPrice(900, 10, ""), UnitPrice(850, 1, "trade"), UnitPrice(1100, 20, ""))
    assert Prices(1000, prices).best(9, ()) == 1000
    assert Prices(1000, prices).best(25, ()) == 900
    assert Prices(1000, prices).best(1, ("trade",)) == 850


def test_a_variant_with_prices_of_its_own_in_a_currency_is_sold_by_these_alone_there_and_else_by_the_rate():
    euros = exchange_at("0.90", source="USD", target="EUR")
    at_home = (UnitPrice(900, 10, ""), UnitPrice(850, 1, "trade"))
    in_yen = (UnitPrice(1200, 1, "", "JPY"), UnitPrice(1100, 5, "", "JPY"))
    by_rate = prices_in(euros, 1000, (*at_home, *in_yen))
    assert [by_rate.best(units, groups) for units, groups in ((1, ()), (10, ()), (1, ("trade",)))] == [
        900,
        810,
        765,
    ]
    yen = prices_in(exchange_at("150", source="USD", target="JPY"), 1000, (*at_home, *in_yen))
    assert [yen.best(units, ("trade",)) for units in (1, 5, 10)] == [1200, 1100, 1100]
    # Breaks alone leave a single unit at the rate.
    only_breaks = prices_in(exchange_at("150", source="USD", target="JPY"), 1000, in_yen[1:])
    assert [only_breaks.best(units, ()) for units in (1, 5)] == [1500, 1100]
    home = prices_in(None, 1000, (*at_home, *in_yen))
    assert [home.best(units, ()) for units in (1, 10)] == [1000, 900]


def test_codes_are_the_same_in_upper_and_lower_case():
    assert code_key(" Save10 ") == code_key("SAVE10") == code_key("\uff53ave10")
    made = new_codes(500, prefix="X-")
    assert len({code_key(code) for code in made}) == 500


def test_one_person_has_one_mail_address_for_limits():
    same = ["Ada+shop@Example.com", "ada@example.com", "ADA+2@example.COM"]
    assert len({mail_digest(email) for email in same}) == 1
    assert mail_digest("a.da@gmail.com") == mail_digest("ada+x@googlemail.com")
    assert mail_digest("a.da@example.com") != mail_digest("ada@example.com")
    assert mail_digest(None) is mail_digest("") is None


baskets = st.lists(
    st.builds(line, price=st.integers(0, 10**6), quantity=st.integers(1, 99), variant_id=st.integers(1, 5)),
    min_size=1,
    max_size=8,
)
deals = st.lists(
    st.builds(
        promotion,
        kind=st.sampled_from(["percent", "fixed_amount", "fixed_price", "free_shipping", "buy_x_get_y"]),
        value=st.integers(0, 10_000),
        number=st.integers(1, 9),
        priority=st.integers(0, 3),
        combines=st.booleans(),
        limit_items=st.none() | st.integers(1, 20),
        buy_quantity=st.integers(1, 3),
        get_quantity=st.integers(1, 3),
    ),
    max_size=5,
)


@given(baskets, deals)
def test_no_line_ever_costs_less_than_nothing_and_every_part_is_accounted_for(basket, offered):
    found = quote(basket, *offered)
    assert all(0 <= entry.discount <= entry.line_price for entry in found.lines)
    assert all(sum(part.amount for part in entry.discounts) == entry.discount for entry in found.lines)
    assert sum(entry.amount for entry in found.applied) == found.discount + found.shipping_discount
    assert found.total == found.items - found.discount + found.shipping + found.tax >= 0
