"""Money: exact, and its parts sum to the whole."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit import money

amounts = st.integers(min_value=-(10**12), max_value=10**12)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5", "USD", 1250),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("0", "EUR", 0),
    ],
)
def test_minor_units_follow_the_currency(text, currency, minor):
    assert money.to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [("12.505", "USD"), ("1.5", "JPY"), ("abc", "USD"), ("", "USD"), ("NaN", "USD"), ("1e30", "USD")],
)
def test_what_is_no_amount_of_the_currency_is_refused(text, currency):
    with pytest.raises(money.MoneyError):
        money.to_minor(text, currency)


@given(amounts, st.integers(min_value=0, max_value=10_000))
def test_a_share_is_rounded_half_up(amount, points):
    exact = Decimal(amount) * points / 10_000
    assert money.share(amount, points) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@given(st.integers(min_value=0, max_value=10**14), st.integers(min_value=0, max_value=1_000_000))
def test_contained_tax_and_net_make_the_gross(gross, rate):
    tax = money.tax_in(gross, rate)
    assert 0 <= tax <= gross
    assert abs(money.tax_on(gross - tax, rate) - tax) <= 1


@pytest.mark.parametrize(
    ("text", "points", "millionths"),
    [
        ("7.25", 725, 72_500),
        ("20", 2_000, 200_000),
        ("7.2500", 725, 72_500),
        ("100", 10_000, 1_000_000),
        ("100.01", 10_001, None),
        ("1000", 100_000, None),
        ("6.625", None, 66_250),
        ("0.0001", None, 1),
        ("6.62505", None, None),
        ("6.6249999999999996", None, None),
        ("6.62500000000000000000000000000000000001", None, None),
        ("1e-999999", None, None),
        ("1000.0001", None, None),
        ("9e999999", None, None),
        ("-1", None, None),
        ("NaN", None, None),
        ("sNaN", None, None),
        ("a lot", None, None),
    ],
)
def test_a_percentage_is_exact_or_refused_and_taxes_have_two_decimals_more(text, points, millionths):
    """However many digits it is written with: none is rounded away first."""
    for read, expected in (
        (money.percent_to_basis_points, points),
        (money.percent_to_parts_per_million, millionths),
    ):
        if expected is None:
            with pytest.raises(money.MoneyError):
                read(text)
        else:
            assert read(text) == expected
    if millionths is not None:
        assert Decimal(money.to_percent_text(millionths)) == Decimal(text)


def test_a_rate_is_shown_as_people_write_it():
    shown = {66_250: "6.625", 200_000: "20", 72_500: "7.25", 0: "0", 1: "0.0001", 1_000_000: "100"}
    assert {rate: money.to_percent_text(rate) for rate in shown} == shown


@given(amounts, st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=30))
def test_parts_sum_to_the_whole_and_stay_near_their_share(amount, weights):
    parts = money.allocate(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    if total:
        assert all(
            abs(part * total - amount * weight) < total for part, weight in zip(parts, weights, strict=True)
        )
