"""Random carts with promotions through the whole shop in eight currencies: cart, checkout, order and payment say what
the model says.
"""

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.giftcards.service import give_credit
from app.domain.stores.models import TaxRate
from app.kit.clock import utc_now
from tests.conftest import make_store
from tests.decimal_model import PLACES, Basket, Deal, Item, cost_of, random_amount, random_deal
from tests.people import join
from tests.shop import Guest, add_gift_card, add_promotion, add_variant, open_till


def random_purse(dice: random.Random, currency: str) -> Decimal:
    """What is on a gift card or credit: often nothing, else little or much."""
    return random_amount(dice, currency, 10**7) if dice.random() < 0.6 else Decimal(0)


async def give(sessions, store, customer: int, amount: int) -> None:
    if amount:
        async with transaction(sessions) as session:
            await give_credit(
                session,
                store.id,
                customer,
                amount=amount,
                currency=store.currency,
                reason="Random",
                now=utc_now(),
            )


async def put(guest: Guest, what: str, body: dict) -> dict:
    answer = await guest.call("PUT", f"/checkout/{guest.token}/{what}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


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
async def test_a_bought_cart_costs_what_the_model_says(
    client, sessions, reads, redis_url, currency, sized, figure
):
    number = sized(24, 4)
    dice = random.Random(currency)
    coins = 10 ** PLACES[currency]
    bought = 0
    for included, taxed_shipping in ((False, False), (True, True)):
        store = await make_store(sessions, currency=currency)
        rates = tuple(Decimal(rate) for rate in dice.sample(("0", "5", "7.25", "6.625", "9.975", "19"), 2))
        shipping = dice.randint(1, 999)
        option = await open_till(sessions, store, rate=int(rates[0] * 10_000), shipping=shipping)
        async with transaction(sessions) as session:
            session.add(
                TaxRate(store_id=store.id, country="US", name="Another", rate_ppm=int(rates[1] * 10_000))
            )
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
        for turn in range(number // 2):
            guest = Guest(client, store, option)
            card, credit = (random_purse(dice, currency) for _ in range(2))
            if turn % 2:
                guest = await join(guest, sessions, redis_url)
                await give(sessions, store, guest.customer_id, int(credit * coins))
            else:
                credit = Decimal(0)
            picked = [(kind, dice.randint(1, 9)) for kind in dice.sample(kinds, dice.randint(1, len(kinds)))]
            for (variant, _, _), quantity in picked[:-1]:
                await guest.add(variant, quantity)
            checkout = await guest.prepare(picked[-1][0][0], picked[-1][1])
            cost = cost_of(
                Basket(
                    currency=currency,
                    items=tuple(Item(price, quantity, taxable) for (_, price, taxable), quantity in picked),
                    rates=rates,
                    included=included,
                    taxed_shipping=taxed_shipping,
                    shipping=Decimal(shipping) / coins,
                    deals=deals,
                    card=card,
                    credit=credit,
                )
            )
            cart = (await guest.call("GET", f"/cart?cart_uuid={guest.cart_uuid}")).json()
            shown = (cart["original_total_price"], cart["total_discount"], cart["total_price"])
            assert tuple(Decimal(value) / coins for value in shown) == (
                cost.items,
                cost.discount,
                cost.items - cost.discount,
            )
            if card:
                code, _ = await add_gift_card(sessions, store, int(card * coins))
                checkout = await put(guest, "gift-card", {"code": code})
            if credit:
                checkout = await put(guest, "store-credit", {})
            totals = {name: Decimal(value) / coins for name, value in checkout["totals"].items()}
            assert totals == {name: getattr(cost, name) for name in totals}
            ways = ("gift_card", "store_credit") if cost.total else ("free_payment",)
            service = "test" if cost.due else next(way for way in ways if totals.get(way, 1))
            paid = await guest.pay(checkout["totals"]["due"], service=service)
            assert paid.status_code == 204, paid.text
            order = (await guest.read_order(int(paid.headers["location"].rpartition("/")[2]))).json()
            assert (order["currency"], Decimal(order["total_price"]) / coins) == (currency, cost.total)
            assert order["totals"] == checkout["totals"]
            bought += 1
        async with sessions() as session:
            differ = await session.scalar(
                text(
                    "SELECT count(*) FROM orders o WHERE o.store_id = :id AND o.total IS DISTINCT FROM "
                    "(SELECT sum(captured) FROM payments p WHERE p.order_id = o.id AND p.currency = o.currency)"
                ),
                {"id": store.id},
            )
        assert differ == 0
        assert await run_audit(reads, utc_now(), store_id=store.id) == []
    figure(
        f"{bought} random carts bought in {currency}, by card, gift card and credit: cart, checkout, order and "
        "payments to the last unit"
    )
