"""Amounts in another currency: by the rate, to the step, and never for nothing."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.exchange import exchange_at
from app.kit.money import MAX_MINOR, exponent

ROUNDINGS = {"nearest": ROUND_HALF_UP, "up": ROUND_CEILING, "down": ROUND_FLOOR}


@pytest.mark.parametrize(
    ("rate", "source", "target", "step", "rounding", "amount", "wanted"),
    [
        ("0.92", "USD", "EUR", 1, "nearest", 1000, 920),
        ("0.925", "USD", "EUR", 1, "nearest", 100, 93),  # 92.5 cents
        ("149.5", "USD", "JPY", 1, "nearest", 1000, 1495),
        ("149.5", "USD", "JPY", 100, "up", 1000, 1500),
        ("149.5", "USD", "JPY", 100, "down", 1000, 1400),
        ("0.3", "USD", "KWD", 1, "nearest", 1000, 3000),  # three decimals
        ("0.3071", "USD", "KWD", 250, "nearest", 1000, 3000),
        ("3.25", "KWD", "USD", 5, "nearest", 1234, 400),  # 401.05 cents
        ("0.01", "USD", "EUR", 1, "down", 1, 1),  # what costs something is not free there
        ("0.01", "JPY", "USD", 1, "nearest", 0, 0),
        ("1000000000", "USD", "EUR", 1, "nearest", MAX_MINOR, MAX_MINOR),
    ],
)
def test_an_amount_is_converted_to_the_step_of_the_currency(
    rate, source, target, step, rounding, amount, wanted
):
    exchange = exchange_at(rate, source=source, target=target, step=step, rounding=rounding)
    assert exchange.convert(amount) == wanted


@given(
    amount=st.integers(1, 10**9),
    rate=st.decimals("0.0001", "9999", places=6),
    step=st.sampled_from([1, 5, 10, 100, 250]),
    rounding=st.sampled_from(sorted(ROUNDINGS)),
    target=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_conversion_agrees_with_decimal_arithmetic(amount, rate, step, rounding, target):
    converted = exchange_at(str(rate), source="USD", target=target, step=step, rounding=rounding).convert(
        amount
    )
    exact = Decimal(amount).scaleb(-2) * rate
    steps = (exact.scaleb(exponent(target)) / step).quantize(Decimal(1), ROUNDINGS[rounding])
    assert converted == max(int(steps), 1) * step
