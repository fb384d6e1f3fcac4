"""What units of a line are worth when they are paid back one after the other."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.orders.refunding import worth_of


@given(paid=st.integers(0, 10**9), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_units_paid_back_in_any_parts_come_to_what_was_paid(paid: int, cuts: list[int]):
    quantity, before, parts = sum(cuts), 0, []
    for cut in cuts:
        parts.append(worth_of(paid, quantity, before=before, after=before + cut))
        before += cut
    assert sum(parts) == paid
    assert all(abs(part - paid * cut / quantity) <= 1 for part, cut in zip(parts, cuts, strict=True))
