"""What units of a line are worth when they are paid back one after the other, and how many of them stay here."""

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.db.session import transaction
from app.db.statements import row_of
from app.domain.orders.models import Order
from app.domain.orders.refunding import (
    RefundedLine,
    put_units_again,
    share_lines,
    take_back_units,
    units_covered,
    worth_of,
)


@given(paid=st.integers(0, 10**9), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_units_paid_back_in_any_parts_come_to_what_was_paid(paid: int, cuts: list[int]):
    quantity, before, parts = sum(cuts), 0, []
    for cut in cuts:
        parts.append(worth_of(paid, quantity, before=before, after=before + cut))
        before += cut
    assert sum(parts) == paid
    assert all(abs(part - paid * cut / quantity) <= 1 for part, cut in zip(parts, cuts, strict=True))


@given(
    sums=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 1000)), min_size=1, max_size=4),
    cut=st.floats(0, 1),
)
def test_parts_of_a_refund_name_together_what_the_whole_is_for(sums: list[tuple[int, int]], cut: float):
    lines = [RefundedLine(place, units, amount, "Mug") for place, (units, amount) in enumerate(sums)]
    whole = sum(line.amount for line in lines)
    parts = [int(whole * cut), whole - int(whole * cut)]
    shares = share_lines(lines, parts)
    assert [sum(line.amount for line in share) for share in shares] == parts
    for line in lines:
        named = [mine for share in shares for mine in share if mine.line_id == line.line_id]
        assert named
        assert {mine.quantity for mine in named} == {line.quantity}
        assert sum(mine.amount for mine in named) == line.amount


def test_what_stays_given_of_a_refund_keeps_as_many_units_paid_back_as_it_covers():
    for paid, counted, named, back, stay in (
        (3000, 3, 3, 0, 0),
        (3000, 3, 3, 999, 0),
        (3000, 3, 3, 1000, 1),
        (3000, 3, 3, 2500, 2),
        (3000, 3, 1, 2000, 2),
        (3000, 3, 1, 0, 2),  # what went back before that is nobody's to take away
        (3000, 1, 2, 500, 0),  # a second part fails as well
        (0, 2, 2, 0, 0),  # gifts go with what they came with
        (1, 3, 3, 0, 0),
    ):
        stays = units_covered(paid, 3, counted=counted, named=named, given=back)
        assert stays == stay, (paid, counted, named, back)


_ORDER = text(
    """
    WITH made AS (
        INSERT INTO orders (store_id, checkout_id, checkout_token, number, name, email, status, currency, tax_included,
            items_total, discount_total, shipping_total, tax_total, total, placed_at)
        VALUES (:store_id, 1, 'token', 7, '#7', 'a@example.com', 'open', 'USD', false, 5000, 0, 0, 0, 5000, now())
        RETURNING *
    ), lines AS (
        INSERT INTO order_lines (store_id, order_id, position, variant_id, product_id, title, variant_title, quantity,
            price, line_price, discount, tax, tax_rate, grams, requires_shipping)
        SELECT store_id, id, 1, 1, 1, 'Mug', 'Cream', 5, 1000, 5000, 0, 0, 0, 0, true FROM made
    )
    SELECT * FROM made
    """
)
_LINE = text("SELECT id, refunded, dropped FROM order_lines WHERE order_id = :id")


async def test_units_whose_refund_failed_are_kept_back_once_when_they_are_paid_back_after_all(
    sessions, store
):
    async with transaction(sessions) as session:
        row = (await session.execute(_ORDER, {"store_id": store.id})).mappings().one()
        order = row_of(Order, dict(row))

        async def line():
            return tuple((await session.execute(_LINE, {"id": order.id})).one())

        id_, *_ = await line()
        taken = await take_back_units(session, order, {id_: 2})
        assert await line() == (id_, 2, 2)
        await put_units_again(session, order, taken)
        assert await line() == (id_, 0, 2)
        for units, refunded, dropped in ((1, 1, 2), (1, 2, 2), (1, 3, 3)):
            await take_back_units(session, order, {id_: units})
            assert await line() == (id_, refunded, dropped), "three of five are still to be shipped, then two"
        # Those that are not shipped come first, and the one that is shipped does not stay here.
        await session.execute(text("UPDATE order_lines SET shipped = 1 WHERE id = :id"), {"id": id_})
        await take_back_units(session, order, {id_: 2})
        assert await line() == (id_, 5, 4)
