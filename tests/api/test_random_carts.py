"""Random carts with promotions through the whole shop in eight currencies: cart, checkout, order and payment say what
the model says.
"""

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.conftest import make_store
from tests.decimal_model import PLACES, Basket, Deal, Item, cost_of, random_amount, random_deal
from tests.shop import Guest, add_promotion, add_variant, open_till

SUMS = ("items", "discount", "shipping", "tax", "total")


async def offer(sessions, store, deal: Deal, coins: int) -> None:
    """A deal of the model as a promotion that comes by itself."""
    percent = deal.kind in ("percent", "buy_x_get_y")
    await add_promotion(
        sessions,
        store,
        kind=deal.kind,
        value=int(deal.value * (100 if percent else coins)),
        priority=deal.rank,
        combines=not deal.alone,
        minimum_purchase=int(deal.least_worth * coins),
        minimum_quantity=deal.least_count,
        limit_items=deal.most,
        buy_quantity=deal.buy,
        get_quantity=deal.get,
    )


@pytest.mark.parametrize("currency", PLACES)
async def test_a_bought_cart_costs_what_the_model_says(client, sessions, currency, sized, figure):
    number = sized(24, 4)
    dice = random.Random(currency)
    coins = 10 ** PLACES[currency]
    bought = 0
    for included, taxed_shipping in ((False, False), (True, True)):
        store = await make_store(sessions, currency=currency)
        rate, shipping = dice.choice((725, 810, 1900)), dice.randint(1, 999)
        option = await open_till(sessions, store, rate=rate, shipping=shipping)
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE stores SET tax_included = :included, tax_shipping = :taxed WHERE id = :id"),
                {"included": included, "taxed": taxed_shipping, "id": store.id},
            )
        deals = tuple(
            replace(random_deal(dice, currency), shelf="", other_shelf=None)
            for _ in range(dice.randint(1, 3))
        )
        for deal in deals:
            await offer(sessions, store, deal, coins)
        kinds = []
        for _ in range(6):
            price, taxable = random_amount(dice, currency, 10**6), dice.random() < 0.8
            variant = await add_variant(
                sessions, store, price=int(price * coins), on_hand=10**6, taxable=taxable
            )
            kinds.append((variant, price, taxable))
        for _ in range(number // 2):
            guest = Guest(client, store, option)
            picked = [(kind, dice.randint(1, 9)) for kind in dice.sample(kinds, dice.randint(1, len(kinds)))]
            for (variant, _, _), quantity in picked[:-1]:
                await guest.add(variant, quantity)
            checkout = await guest.prepare(picked[-1][0][0], picked[-1][1])
            cost = cost_of(
                Basket(
                    currency=currency,
                    items=tuple(Item(price, quantity, taxable) for (_, price, taxable), quantity in picked),
                    rate=Decimal(rate) / 100,
                    included=included,
                    taxed_shipping=taxed_shipping,
                    shipping=Decimal(shipping) / coins,
                    deals=deals,
                )
            )
            cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
            shown = (cart["original_total_price"], cart["total_discount"], cart["total_price"])
            assert tuple(Decimal(value) / coins for value in shown) == (
                cost.items,
                cost.discount,
                cost.items - cost.discount,
            )
            totals = {
                name: Decimal(value) / coins for name, value in checkout["totals"].items() if name in SUMS
            }
            assert totals == {name: getattr(cost, name) for name in totals}
            service = "test" if checkout["totals"]["total"] else "free_payment"
            paid = await guest.pay(checkout["totals"]["total"], service=service)
            assert paid.status_code == 204, paid.text
            order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
            assert (order["currency"], Decimal(order["total_price"]) / coins) == (currency, cost.total)
            bought += 1
        async with sessions() as session:
            differ = await session.scalar(
                text(
                    "SELECT count(*) FROM orders o JOIN payments p ON p.order_id = o.id "
                    "WHERE o.store_id = :id AND (p.captured, p.currency) IS DISTINCT FROM (o.total, o.currency)"
                ),
                {"id": store.id},
            )
        assert differ == 0
    figure(f"{bought} random carts bought in {currency}: cart, checkout, order and payment to the last unit")
