"""What staff do about gift cards and credit: by command, and by what stands in a shop file."""

import asyncio
import re
import tomllib
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text

from app.cli.apply import ShopFile, apply_shop
from app.db.audit import run_audit
from app.db.session import transaction
from app.kit.clock import utc_now
from app.kit.errors import Invalid
from tests.api.after_order import forget_jobs
from tests.people import join, make_customer
from tests.shop import Guest, add_variant, waiting_for_locks


async def test_a_made_card_shows_its_code_once_can_be_looked_up_and_switched_off(run, guest: Guest, sessions):
    made = await run(
        "giftcard", "create", "50.00", "--count", "2", "--expires", "2099-12-31", "--note", "Fair"
    )
    assert made.exit_code == 0, made.output
    cards = re.findall(r"^ *(\d+)  ((?:[A-Z2-9]{4}-){3}[A-Z2-9]{4})$", made.output, re.MULTILINE)
    assert len(cards) == 2
    number, code = cards[0]
    asked = await guest.call("POST", "/gift-cards/balance", {"code": code.lower().replace("-", " ")})
    assert asked.json() == {
        "last_four": code[-4:],
        "balance": 5000,
        "currency": "USD",
        "expires_at": "2099-12-31T23:59:59+00:00",
    }
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT g::text FROM gift_cards g WHERE id = :id"), {"id": int(number)}
        )
    assert code not in kept
    assert code.replace("-", "").lower() not in kept.lower()
    shown = await run("giftcard", "show", code[-4:].lower())
    assert f"{number}  …{code[-4:]}  50.00 USD of 50.00 USD  until 2099-12-31" in shown.output
    assert "Fair" in shown.output
    for turn in range(2):  # the second time changes nothing
        off = await run("giftcard", "disable", number, "--note", f"Reported lost {turn}")
        assert "switched off at" in off.output
        assert (await guest.call("POST", "/gift-cards/balance", {"code": code})).status_code == 422
    for turn in range(2):
        on = await run("giftcard", "enable", number, "--note", f"Found again {turn}")
        assert (on.exit_code, "switched off" in on.output) == (0, False)
        asked = await guest.call("POST", "/gift-cards/balance", {"code": code})
        assert (asked.status_code, asked.json()["balance"]) == (200, 5000)
    trail = re.findall(r"^ {8}\S+  (.+)$", (await run("giftcard", "show", code[-4:])).output, re.MULTILINE)
    assert trail == ["switched off  Reported lost 0", "switched on  Found again 0"]
    for wrong in (
        ("create", "0"),
        ("create", "1.234"),
        ("create", "much"),
        ("create", "10.00", "--expires", "2020-01-01"),
        ("show", "ZZZZ"),
        ("disable", "999999"),
        ("enable", "999999"),
    ):
        refused = await run("giftcard", *wrong)
        assert refused.exit_code != 0, wrong


async def test_the_last_day_of_a_card_ends_where_the_store_is(run, guest: Guest, sessions):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stores SET settings = settings || CAST(:zone AS jsonb) WHERE id = :id"),
            {"id": guest.store.id, "zone": '{"delivery": {"time_zone": "America/Los_Angeles"}}'},
        )
    made = await run("giftcard", "create", "50.00", "--expires", "2099-12-31")
    asked = await guest.call("POST", "/gift-cards/balance", {"code": made.output.split()[1]})
    assert asked.json()["expires_at"] == "2100-01-01T07:59:59+00:00"


async def test_credit_is_given_with_its_reason_and_orders_are_refunded_as_credit(
    run, guest: Guest, sessions, redis_url, reads
):
    await forget_jobs(sessions)
    member = await join(guest, sessions, redis_url)
    async with sessions() as session:
        email = await session.scalar(
            text("SELECT email FROM customers WHERE id = :id"), {"id": member.customer_id}
        )
    given = await run("credit", "give", email, "12.50", "--reason", "Broken mug")
    assert (given.exit_code, given.output) == (0, "12.50 USD\n")
    assert (await run("credit", "give", "nobody@example.com", "1", "--reason", "x")).exit_code == 1
    exported = (await member.call("GET", "/customer/export")).json()["store_credit"]
    assert [(one["balance"], one["given"][0]["reason"]) for one in exported] == [(1250, "Broken mug")]
    numbers = []
    for _ in range(2):
        checkout = await member.prepare(await add_variant(sessions, member.store, price=2000))
        paid = await member.pay(checkout["totals"]["due"])
        order = await member.read_order(int(paid.headers["location"].rpartition("/")[2]))
        numbers.append(order.json()["number"])
    refunded = await run("order", "refund", numbers[0], "5.00", "--reason", "Late", "--to-credit")
    assert refunded.output == f"{numbers[0]}: 5.00 USD goes back\n"
    assert (await run("order", "cancel", numbers[1], "--reason", "Gone", "--to-credit")).exit_code == 0
    shown = (await member.call("GET", "/customer/store-credit")).json()
    assert shown["balance"] == 1250 + 500 + 2500
    assert await run_audit(reads, utc_now(), store_id=member.store.id) == []


async def test_a_command_that_deadlocks_with_somebody_is_done_anew(run, guest: Guest, sessions):
    customer = await make_customer(sessions, guest.store, email="ada.dead@example.com")
    assert (await run("credit", "give", "ada.dead@example.com", "1.00", "--reason", "x")).exit_code == 0
    async with transaction(sessions) as session:
        # Whoever closes the account takes these the other way round. The command is to be the one that notices.
        await session.execute(text("SET LOCAL deadlock_timeout = '30s'"))
        await session.execute(text("SET LOCAL lock_timeout = '30s'"))
        await session.execute(
            text("SELECT 1 FROM store_credits WHERE customer_id = :id FOR UPDATE"), {"id": customer}
        )
        command = asyncio.create_task(run("credit", "give", "ada.dead@example.com", "2.50", "--reason", "x"))
        await waiting_for_locks(sessions, 1)
        await session.execute(text("SELECT 1 FROM customers WHERE id = :id FOR UPDATE"), {"id": customer})
    told = await command
    assert (told.exit_code, told.output) == (0, "3.50 USD\n")


SHOP = """
[store]
code = "CODE"
currency = "KWD"
[[gift_cards]]
code = "FAIR-2026-SPRING"
amount = "12.500"
note = "The spring fair"
[[gift_cards]]
code = "FAIR-2026-AUTUMN"
amount = "5"
expires_at = 2030-01-01T00:00:00Z
"""


async def test_cards_of_a_shop_file_are_made_once_and_their_money_never_changes(sessions, reads):
    shop = SHOP.replace("CODE", f"shop-{uuid4().hex[:8]}", 1)

    async def apply(written: str) -> list[str]:
        file = msgspec.convert(tomllib.loads(written), ShopFile)
        async with transaction(sessions) as session:
            done = await apply_shop(session, file, now=utc_now())
            return [line for line in done.changes if "gift card" in line]

    assert await apply(shop) == ["gift card …RING: made, 12.500 KWD", "gift card …TUMN: made, 5 KWD"]
    assert await apply(shop) == []
    assert await apply(shop.replace("FAIR-2026-SPRING", "fair 2026 spring")) == []  # the same code
    off = shop.replace('note = "The spring fair"', 'note = "Over"\nenabled = false')
    assert await apply(off) == ["gift card …RING: note changed, switched off"]
    async with sessions() as session:
        trail = await session.scalar(
            text(
                "SELECT string_agg(event || ': ' || note, ', ') FROM gift_card_events WHERE gift_card_id = "
                "(SELECT id FROM gift_cards WHERE note = 'Over' ORDER BY id DESC LIMIT 1)"
            )
        )
    assert trail == "switched_off: shop file"
    # What staff switched off stays off, and what came back to a card can be spent for as long as was said then.
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE gift_cards SET expires_at = '2031-01-01' WHERE note = 'Over'"))
    earlier = shop.replace("[[gift_cards]]", "[[gift_cards]]\nexpires_at = 2030-01-01T00:00:00Z", 1)
    assert await apply(earlier) == ["gift card …RING: note changed"]
    assert await apply(shop.partition("[[gift_cards]]")[0]) == []  # they are somebody's money
    faults = {
        'amount = "12.500"': ('amount = "13"', "gift_cards[0].amount"),
        '"FAIR-2026-SPRING"': ('"SHORT-CODE"', "gift_cards[0].code"),
        '"FAIR-2026-AUTUMN"': ('"fair2026spring"', "gift_cards[1].code"),
        "2030-01-01T00:00:00Z": ("2030-01-01T00:00:00", "gift_cards[1].expires_at"),
        'amount = "5"': ('amount = "5.0001"', "gift_cards[1].amount"),
    }
    for right, (wrong, at) in faults.items():
        with pytest.raises(Invalid) as refused:
            await apply(shop.replace(right, wrong))
        assert [fault.field for fault in refused.value.errors] == [at]
        assert "spring" not in " ".join(fault.message for fault in refused.value.errors).lower()
    async with sessions() as session:
        store = await session.scalar(
            text("SELECT store_id FROM gift_cards WHERE note = 'The spring fair' ORDER BY id DESC LIMIT 1")
        )
    assert await run_audit(reads, utc_now(), store_id=store) == []
