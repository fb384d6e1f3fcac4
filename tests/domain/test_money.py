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


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=10_000))
def test_contained_tax_and_net_make_the_gross(gross, points):
    tax = money.tax_in(gross, points)
    assert 0 <= tax <= gross
    assert abs(money.share(gross - tax, points) - tax) <= 1


@given(amounts, st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=30))
def test_parts_sum_to_the_whole_and_stay_near_their_share(amount, weights):
    parts = money.allocate(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    if total:
        assert all(
            abs(part * total - amount * weight) < total for part, weight in zip(parts, weights, strict=True)
        )
