"""Which ways to ship there are, what each costs, and when it arrives."""

from datetime import UTC, date, datetime, time

import pytest

from app.domain.stores.delivery import DeliveryRules, arrival
from app.domain.stores.queries import ShippingChoice, Zone
from app.domain.stores.shipping import LiveRate, Parcel, shipping_options
from tests.domain.test_quote import store

WEDNESDAY = datetime(2026, 11, 18, 9, tzinfo=UTC)


def choice(number=1, **more) -> ShippingChoice:
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
    return ShippingChoice(**{**known, "id": number, "title": "Parcel", "price": 500, **more})


def options(
    *choices, items=1, worth=1000, grams=100, country="US", rates=(), pickups=(), rules=None, now=WEDNESDAY
):
    shop = store(zones=(Zone(1, "Z", frozenset({"US"}), frozenset(), choices),))
    shop = type(shop)(
        **{name: getattr(shop, name) for name in shop.__struct_fields__}
        | {"pickups": pickups, "delivery": rules or DeliveryRules()}
    )
    parcel = Parcel(grams=grams, items=items, worth=worth)
    return shipping_options(shop, parcel, country=country, region=None, now=now, rates=rates)


@pytest.mark.parametrize(("items", "price"), [(1, 500), (2, 650), (10, 1850)])
def test_each_item_after_the_first_adds_its_own_price(items, price):
    (found,) = options(choice(extra_item=150), items=items)
    assert found.price == price


@pytest.mark.parametrize(("items", "ids"), [(1, [1]), (2, [1]), (3, [2]), (9, [2]), (10, [])])
def test_bands_of_items_take_in_the_lower_bound_and_leave_out_the_upper(items, ids):
    found = options(choice(1, max_items=3), choice(2, min_items=3, max_items=10), items=items)
    assert [one.id for one in found] == ids


def test_free_from_beats_extra_items_and_live_rates():
    asked = choice(free_from=5000, extra_item=100, carrier="hub", carrier_service="ground")
    for rates in ((), (LiveRate("hub", "ground", 999),)):
        (found,) = options(asked, items=9, worth=5000, rates=rates)
        assert found.price == 0


PICKUP = choice(9, title="At the mill", price=0, location="Mill Lane 12, Portland. Fridays 10 to 16.")


def test_a_pick_up_is_offered_wherever_the_buyer_lives_and_before_anybody_knows():
    for country in ("JP", None):
        (found,) = options(choice(), country=country, pickups=(PICKUP,))
        assert (found.id, found.pickup, found.location) == (9, True, PICKUP.location)
    assert [one.id for one in options(choice(), pickups=(PICKUP,))] == [1, 9]


def test_without_a_country_nothing_is_sent():
    assert options(choice(), country=None) == ()


def test_a_live_rate_takes_the_place_of_the_price_and_of_the_days():
    asked = choice(min_days=5, max_days=9, extra_item=100, carrier="hub", carrier_service="ground")
    (found,) = options(asked, items=4, rates=(LiveRate("hub", "ground", 1234, 2, 3),))
    assert (found.price, found.min_days, found.max_days) == (1234, 2, 3)
    (without_days,) = options(asked, rates=(LiveRate("hub", "ground", 1234),))
    assert (without_days.min_days, without_days.max_days) == (5, 9)


@pytest.mark.parametrize("rates", [(), (LiveRate("hub", "air", 1),), (LiveRate("van", "ground", 1),)])
def test_without_the_rate_of_its_own_service_the_price_counts_or_the_option_hides(rates):
    asked = choice(1, carrier="hub", carrier_service="ground")
    hidden = choice(2, carrier="hub", carrier_service="ground", only_live=True)
    assert [(one.id, one.price) for one in options(asked, hidden, rates=rates)] == [(1, 500)]


@pytest.mark.parametrize(
    ("now", "days", "day"),
    [
        (WEDNESDAY, 0, date(2026, 11, 18)),
        (WEDNESDAY, 2, date(2026, 11, 20)),
        (WEDNESDAY, 3, date(2026, 11, 23)),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), 0, date(2026, 11, 23)),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), 1, date(2026, 11, 24)),
        (WEDNESDAY, 10, date(2026, 12, 2)),
    ],
)
def test_only_working_days_count(now, days, day):
    assert arrival(DeliveryRules(), days, now=now) == day


def test_holidays_do_not_count_and_a_week_without_a_weekend_does():
    rules = DeliveryRules(holidays=(date(2026, 11, 19), date(2026, 11, 20)))
    assert arrival(rules, 1, now=WEDNESDAY) == date(2026, 11, 23)
    assert arrival(DeliveryRules(closed=()), 4, now=WEDNESDAY) == date(2026, 11, 22)
    assert arrival(DeliveryRules(closed=("fri", "sat")), 2, now=WEDNESDAY) == date(2026, 11, 22)


@pytest.mark.parametrize(("minute", "day"), [(59, date(2026, 11, 19)), (0, date(2026, 11, 20))])
def test_after_the_cut_off_the_next_day_is_the_first(minute, day):
    rules = DeliveryRules(time_zone="America/Los_Angeles", cut_off=time(15))
    # 15:00 in Los Angeles is 23:00 of UTC in winter.
    now = datetime(2026, 11, 18, 22 if minute else 23, minute, tzinfo=UTC)
    assert arrival(rules, 1, now=now) == day


def test_the_day_is_the_one_that_the_store_has():
    late = datetime(2026, 11, 19, 3, tzinfo=UTC)
    assert arrival(DeliveryRules(time_zone="America/Los_Angeles"), 0, now=late) == date(2026, 11, 18)


def test_an_option_says_between_which_days_it_arrives():
    (found,) = options(choice(min_days=1, max_days=3))
    assert (found.earliest, found.latest) == (date(2026, 11, 19), date(2026, 11, 23))
    (unsaid,) = options(choice())
    assert (unsaid.earliest, unsaid.latest) == (None, None)
