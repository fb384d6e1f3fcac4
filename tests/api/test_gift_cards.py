"""Gift cards and store credit pay what they can, one service the rest; each part goes back where it came from, once."""

import asyncio
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli import main
from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.checkout.cancelling import cancel_order, refund_order
from app.domain.checkout.refunds import note_refund
from app.domain.giftcards.holds import Source, hold_parts
from app.domain.giftcards.service import give_credit, switch_gift_card
from app.domain.giftcards.split import Split
from app.domain.orders.queries import load_order
from app.domain.orders.refunding import list_begun
from app.domain.payments.models import RefundOrder
from app.domain.payments.service import get_payment
from app.domain.payments.services import ServiceRefund
from app.kit.clock import utc_now
from app.kit.errors import Conflict, Invalid
from tests.api.after_order import forget_jobs, work_off
from tests.canaries import MARK
from tests.conftest import make_store
from tests.people import Member, join
from tests.shop import Guest, add_gift_card, add_variant, settings_for

PRICE, SHIPPING = 2500, 500
TOTAL = PRICE + SHIPPING


@pytest.fixture
async def member(guest: Guest, sessions, redis_url) -> Member:
    """A customer at the till, with 12.00 of credit."""
    await forget_jobs(sessions)
    member = await join(guest, sessions, redis_url)
    async with transaction(sessions) as session:
        await give_credit(
            session,
            guest.store.id,
            member.customer_id,
            amount=1200,
            currency="USD",
            reason="Sorry",
            now=utc_now(),
        )
    return member


@pytest.fixture
def work(database_url, redis_url, tmp_path):
    async def run():
        return await work_off(settings_for(database_url, redis_url), tmp_path)

    return run


async def prepared(guest: Guest, sessions, *, card: str = "", credit: bool = False) -> dict:
    """A checkout of 30.00 that only wants paying, with what shall pay a part of it."""
    checkout = await guest.prepare(await add_variant(sessions, guest.store, price=PRICE))
    if card:
        answer = await put_card(guest, card)
        assert answer.status_code == 200, answer.text
        checkout = answer.json()
    if credit:
        answer = await guest.call("PUT", f"/checkout/{guest.token}/store-credit", {})
        assert answer.status_code == 200, answer.text
        checkout = answer.json()
    return checkout


async def put_card(guest: Guest, code: str):
    return await guest.call("PUT", f"/checkout/{guest.token}/gift-card", {"code": code})


async def bought(guest: Guest, sessions, *, service: str = "test", **with_: object) -> dict:
    checkout = await prepared(guest, sessions, **with_)
    paid = await guest.pay(checkout["totals"]["due"], service=service)
    assert paid.status_code == 204, paid.text
    return (await guest.read_order(order_of(paid))).json()


def order_of(paid) -> int:
    return int(paid.headers["location"].rpartition("/")[2])


async def card_row(sessions, card: int) -> tuple[int, int]:
    return await one(sessions, "SELECT balance, held FROM gift_cards WHERE id = :id", id=card)


async def credit_row(sessions, member: Member) -> tuple[int, int]:
    return await one(
        sessions,
        "SELECT balance, held FROM store_credits WHERE customer_id = :id",
        id=member.customer_id,
    )


async def one(sessions, query: str, **values):
    async with sessions() as session:
        return tuple((await session.execute(text(query), values)).one())


async def clean(reads, store) -> None:
    later = utc_now() + timedelta(minutes=3)
    assert await run_audit(reads, later, store_id=store.id) == []


async def test_a_card_that_expires_or_is_switched_off_before_it_pays_pays_nothing(
    guest: Guest, sessions, store, reads
):
    code, card = await add_gift_card(sessions, store, 1000)
    totals = (await prepared(guest, sessions, card=code))["totals"]
    assert split_of(totals) == (1000, 0, TOTAL - 1000)
    for over in (
        "expires_at = now() - interval '1 second', disabled_at = NULL",
        "expires_at = NULL, disabled_at = now()",
    ):
        async with transaction(sessions) as session:
            await session.execute(text(f"UPDATE gift_cards SET {over} WHERE id = :id"), {"id": card})
        late = await guest.pay(totals["due"])
        assert (late.status_code, late.json()["code"]) == (409, "total_changed")
        assert split_of(late.json()["totals"]) == (0, 0, TOTAL)
        # Nor where it ends between the price and the hold.
        async with sessions() as session:
            values = {"checkout_id": 1, "currency": "USD", "now": utc_now()}
            held = await hold_parts(session, store.id, Source(card, None), Split(gift_card=1000), **values)
        assert not held
        assert await card_row(sessions, card) == (1000, 0)
    assert (await guest.pay(TOTAL)).status_code == 204
    assert await card_row(sessions, card) == (1000, 0)
    await clean(reads, store)


def split_of(totals: dict) -> tuple[int, int, int]:
    return totals["gift_card"], totals["store_credit"], totals["due"]


def paid_by(order: dict) -> dict[str, tuple[str, int, int]]:
    return {one["service"]: (one["status"], one["amount"], one["refunded"]) for one in order["payments"]}


async def test_card_and_credit_pay_first_and_the_service_is_charged_what_is_due(
    member, sessions, reads, work
):
    code, card = await add_gift_card(sessions, member.store, 1000)
    checkout = await prepared(member, sessions, card=f" {code.lower()} ", credit=True)
    assert split_of(checkout["totals"]) == (1000, 1200, 800)
    assert (checkout["totals"]["total"], checkout["use_store_credit"]) == (TOTAL, True)
    assert checkout["gift_card"] == {"last_four": code[-4:].upper(), "amount": 1000}
    refused = await member.pay(TOTAL)
    assert (refused.status_code, refused.json()["code"]) == (409, "total_changed")
    assert split_of(refused.json()["totals"]) == (1000, 1200, 800)
    paid = await member.pay(800)
    assert paid.status_code == 204, paid.text
    order = (await member.read_order(order_of(paid))).json()
    assert (order["payment_status"], order["total_price"]) == ("paid", TOTAL)
    assert split_of(order["totals"]) == (1000, 1200, 800)
    assert paid_by(order) == {
        "test": ("paid", 800, 0),
        "gift_card": ("paid", 1000, 0),
        "store_credit": ("paid", 1200, 0),
    }
    assert await card_row(sessions, card) == (0, 0)
    assert await credit_row(sessions, member) == (0, 0)
    charged = await one(
        sessions,
        "SELECT c.amount FROM test_charges c JOIN payments p USING (key) WHERE p.order_id = :id",
        id=order["id"],
    )
    assert charged == (800,)
    await clean(reads, member.store)
    (mail,) = [one for one in await work() if one["To"] == member.email]
    told = mail.get_body(("plain",)).get_content()
    assert f"Paid by gift card …{code[-4:].upper()}: $10.00\r\nPaid from store credit: $12.00\r\n" in told
    assert ": $8.00\r\n" in told


async def test_a_covered_total_is_placed_at_once_and_only_as_what_covers_it(member, sessions, reads):
    code, card = await add_gift_card(sessions, member.store, 5000)
    checkout = await prepared(member, sessions, card=code, credit=True)
    assert split_of(checkout["totals"]) == (TOTAL, 0, 0)
    for wrong in ("free_payment", "manual", "test", "store_credit"):
        refused = await member.pay(0, service=wrong)
        assert refused.status_code == 422, refused.text
        assert refused.json()["code"] in ("payment_covered", "payment_not_free")
    assert (await member.pay(TOTAL, service="gift_card")).json()["code"] == "total_changed"
    both = await asyncio.gather(*(member.pay(0, service="gift_card") for _ in range(4)))
    assert {answer.status_code for answer in both} == {204}, [answer.text for answer in both]
    assert len({answer.headers["location"] for answer in both}) == 1
    order = (await member.read_order(order_of(both[0]))).json()
    assert (order["payment_status"], paid_by(order)) == ("paid", {"gift_card": ("paid", TOTAL, 0)})
    assert await card_row(sessions, card) == (5000 - TOTAL, 0)
    other = await prepared(member, sessions)
    for way in ("gift_card", "store_credit"):
        assert (await member.pay(other["totals"]["due"], service=way)).json()["code"] == "payment_covered"
    await clean(reads, member.store)


async def test_every_unusable_card_is_answered_alike_and_none_pays(guest, sessions, store):
    now = utc_now()
    foreign = await make_store(sessions)
    gone, gone_id = await add_gift_card(sessions, store, 1000)
    async with transaction(sessions) as session:
        await switch_gift_card(session, store.id, gone_id, on=False, now=now)
    cases = {
        "unknown": f"{MARK}{'x' * 16}",
        "of another store": (await add_gift_card(sessions, foreign, 1000))[0],
        "expired": (await add_gift_card(sessions, store, 1000, expires_at=now - timedelta(seconds=1)))[0],
        "of another currency": (await add_gift_card(sessions, store, 1000, currency="EUR"))[0],
        "switched off": gone,
    }
    await prepared(guest, sessions)
    answers = {}
    for name, code in cases.items():
        refused = await put_card(guest, code)
        assert refused.status_code == 422, name
        answers[name] = {key: value for key, value in refused.json().items() if key != "request_id"}
    empty, _ = await add_gift_card(sessions, store, TOTAL)
    rich = Guest(guest.client, guest.store, guest.option_id)
    await prepared(rich, sessions, card=empty)
    # Held by an open payment is as good as spent.
    assert (await rich.pay(0, service="gift_card")).status_code == 204
    for name, answer in (
        ("empty", await put_card(guest, empty)),
        ("empty, asked", await balance(guest, empty)),
    ):
        assert answer.status_code == 422, name
        answers[name] = {key: value for key, value in answer.json().items() if key != "request_id"}
    first = answers["unknown"]
    assert (first["code"], first["errors"][0]["field"]) == ("gift_card_not_usable", "code")
    assert all(answer == first for answer in answers.values()), answers
    checkout = await guest.read_checkout()
    assert (checkout["gift_card"], checkout["totals"]["due"]) == (None, TOTAL)


async def balance(guest: Guest, code: str):
    return await guest.call("POST", "/gift-cards/balance", {"code": code})


async def test_a_card_taken_off_or_emptied_elsewhere_changes_what_is_due(guest, sessions, store):
    code, card = await add_gift_card(sessions, store, 1000, expires_at=utc_now() + timedelta(days=1))
    asked = (await balance(guest, code)).json()
    assert (asked["balance"], asked["currency"], asked["last_four"]) == (1000, "USD", code[-4:].upper())
    assert asked["expires_at"]
    checkout = await prepared(guest, sessions, card=code)
    for _ in range(2):
        off = await guest.call("DELETE", f"/checkout/{guest.token}/gift-card")
        assert (off.json()["gift_card"], off.json()["totals"]["due"]) == (None, TOTAL)
    await put_card(guest, code)
    quicker = Guest(guest.client, guest.store, guest.option_id)
    await bought(quicker, sessions, card=code)
    refused = await guest.pay(checkout["totals"]["due"])
    assert (refused.status_code, refused.json()["totals"]["due"]) == (409, TOTAL)
    assert (await guest.read_checkout())["gift_card"] == {"last_four": code[-4:].upper(), "amount": 0}
    assert await card_row(sessions, card) == (0, 0)


async def test_what_a_declined_or_abandoned_payment_held_comes_back_once(member, sessions, reads):
    code, card = await add_gift_card(sessions, member.store, 1000)
    checkout = await prepared(member, sessions, card=code, credit=True)
    due = checkout["totals"]["due"]
    declined = await member.pay(due, payment_token="decline")
    assert declined.status_code == 402
    assert (await card_row(sessions, card), await credit_row(sessions, member)) == ((1000, 0), (1200, 0))
    assert (await member.pay(due, payment_token="second_step")).json()["code"] == "second_step_required"
    assert (await card_row(sessions, card), await credit_row(sessions, member)) == (
        (1000, 1000),
        (1200, 1200),
    )
    frozen = await member.read_checkout()
    assert (frozen["state"], split_of(frozen["totals"])) == ("paying", (1000, 1200, 800))
    edited = await put_card(member, code)
    assert (edited.status_code, edited.json()["code"]) == (409, "checkout_paying")
    # With another card the first attempt is given up, and its holds go back before they are taken anew.
    assert (await member.pay(due)).status_code == 204
    assert (await card_row(sessions, card), await credit_row(sessions, member)) == ((0, 0), (0, 0))
    assert await one(
        sessions, "SELECT count(*) FROM balance_holds WHERE store_id = :id", id=member.store.id
    ) == (0,)
    await clean(reads, member.store)


async def test_refunds_go_to_the_service_first_then_to_credit_and_to_the_card_last(
    member, sessions, reads, work
):
    code, card = await add_gift_card(sessions, member.store, 1000)
    order = await bought(member, sessions, card=code, credit=True)

    async def refund(amount: int | None, **how: bool):
        async with transaction(sessions) as session:
            await refund_order(
                session, member.store.id, order["id"], amount=amount, reason="Late", now=utc_now(), **how
            )
        await work()
        return (await member.read_order(order["id"])).json()

    after = await refund(1000)
    assert {name: back for name, (_, _, back) in paid_by(after).items()} == {
        "test": 800,
        "store_credit": 200,
        "gift_card": 0,
    }
    assert (after["payment_status"], await credit_row(sessions, member)) == ("partially_refunded", (200, 0))
    with pytest.raises(Conflict, match="more than is left"):
        await refund(2001)
    after = await refund(None)
    assert (after["payment_status"], await credit_row(sessions, member)) == ("refunded", (1200, 0))
    assert await card_row(sessions, card) == (1000, 0)
    await clean(reads, member.store)


async def test_units_of_which_a_card_gave_its_part_back_are_paid_only_the_rest_when_the_service_fails(
    member, sessions, reads, work, database_url, tmp_path
):
    code, card = await add_gift_card(sessions, member.store, 1000)
    order = await bought(member, sessions, card=code)
    line = order["items"][0]["id"]

    async def refund(**how: bool) -> list[RefundOrder]:
        async with transaction(sessions) as session:
            return await refund_order(
                session,
                member.store.id,
                order["id"],
                amount=None,
                reason="Late",
                now=utc_now(),
                units={line: 1},
                **how,
            )

    async def paid_back() -> tuple[int, dict[int, int]]:
        async with transaction(sessions) as session:
            whole = await load_order(session, member.store.id, order["id"])
            return whole.lines[0].refunded, await list_begun(session, whole)

    parts = await refund()
    assert [part.amount for part in parts] == [2000, 500]
    await work()
    assert await paid_back() == (1, {})
    async with transaction(sessions) as session:
        payment = await get_payment(session, member.store.id, parts[0].payment_id)
        (reference,) = await one(
            sessions, "SELECT reference FROM refund_orders WHERE id = :id", id=parts[0].id
        )
        failed = ServiceRefund(reference, 2000, "USD", failed=True)
        await note_refund(session, payment=payment, refund=failed, now=utc_now())
    assert await paid_back() == (0, {line: 500}), "what the card gave stays given"
    assert (await member.read_order(order["id"])).json()["payment_status"] == "partially_refunded"
    environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path)}
    show = ["order", "show", order["number"], "--store", member.store.code]
    shown = await asyncio.to_thread(CliRunner(env=environ).invoke, main, show)
    assert ", 5.00 USD of one more paid back, 1 not to be shipped\n" in shown.output, shown.output
    assert [part.amount for part in await refund(to_credit=True)] == [2000]
    assert await paid_back() == (1, {})
    with pytest.raises(Invalid, match="still to be paid back"):
        await refund()
    assert (await card_row(sessions, card), await credit_row(sessions, member)) == ((500, 0), (3200, 0))
    await clean(reads, member.store)


async def test_parallel_refunds_of_parts_never_come_to_more_than_was_paid(member, sessions, reads):
    code, card = await add_gift_card(sessions, member.store, 5000)
    order = await bought(member, sessions, service="gift_card", card=code)

    async def refund() -> bool:
        try:
            async with transaction(sessions) as session:
                await refund_order(
                    session, member.store.id, order["id"], amount=1000, reason="Late", now=utc_now()
                )
        except Conflict:
            return False
        return True

    done = await asyncio.gather(*(refund() for _ in range(8)))
    assert sum(done) == 3
    assert await card_row(sessions, card) == (5000, 0)
    await clean(reads, member.store)


async def test_a_refund_as_store_credit_leaves_the_service_alone_and_needs_an_account(
    member, guest, sessions, reads, work
):
    order = await bought(member, sessions)
    async with transaction(sessions) as session:
        await refund_order(
            session, member.store.id, order["id"], amount=700, reason="Late", now=utc_now(), to_credit=True
        )
    await work()
    after = (await member.read_order(order["id"])).json()
    assert (after["payment_status"], await credit_row(sessions, member)) == ("partially_refunded", (1900, 0))
    assert await one(
        sessions,
        "SELECT c.state FROM test_charges c JOIN payments p USING (key) WHERE p.order_id = :id",
        id=order["id"],
    ) == ("captured",)
    # What went to credit cannot go back by the service as well.
    with pytest.raises(Conflict, match="more than is left"):
        async with transaction(sessions) as session:
            await refund_order(
                session, member.store.id, order["id"], amount=TOTAL - 699, reason="Late", now=utc_now()
            )
    of_guest = await bought(guest, sessions)
    with pytest.raises(Conflict, match="needs an account"):
        async with transaction(sessions) as session:
            await refund_order(
                session,
                guest.store.id,
                of_guest["id"],
                amount=1,
                reason="Late",
                now=utc_now(),
                to_credit=True,
            )
    await clean(reads, member.store)


@pytest.mark.parametrize("service", ["test", "manual"])
async def test_a_cancelled_order_gives_each_part_back_once(member, sessions, reads, work, service):
    code, card = await add_gift_card(
        sessions, member.store, 1000, expires_at=utc_now() + timedelta(seconds=60)
    )
    order = await bought(member, sessions, service=service, card=code, credit=True)
    assert order["payment_status"] == ("paid" if service == "test" else "partially_paid")
    async with transaction(sessions) as session:  # it has expired meanwhile
        await session.execute(
            text("UPDATE gift_cards SET expires_at = now() - interval '1 day' WHERE id = :id"), {"id": card}
        )

    if service == "manual":  # what was never paid in full goes on saying that
        async with transaction(sessions) as session:
            await refund_order(
                session, member.store.id, order["id"], amount=100, reason="Late", now=utc_now()
            )
        assert (await member.read_order(order["id"])).json()["payment_status"] == "partially_paid"
        await clean(reads, member.store)

    async def cancel() -> bool:
        async with transaction(sessions) as session:
            return await cancel_order(
                session, member.store.id, order["id"], reason="Gone", note="", now=utc_now()
            )

    done = await asyncio.gather(*(cancel() for _ in range(3)))
    assert sorted(done) == [False, False, True]
    await work()
    assert (await card_row(sessions, card), await credit_row(sessions, member)) == ((1000, 0), (1200, 0))
    assert (await balance(member, code)).status_code == 200  # whoever gets money back can spend it
    after = (await member.read_order(order["id"])).json()
    assert after["payment_status"] == ("refunded" if service == "test" else "failed")
    await clean(reads, member.store)


async def test_credit_is_spent_by_its_owners_login_alone(member, guest, sessions, redis_url):
    await prepared(member, sessions)
    path = f"/checkout/{member.token}/store-credit"
    stranger = await join(guest, sessions, redis_url)
    for somebody, status in ((guest, 401), (stranger, 404)):
        refused = await somebody.call("PUT", path, {})
        assert refused.status_code == status, refused.text
    assert (await member.read_checkout())["totals"]["store_credit"] == 0
    on = await member.call("PUT", path, {"use_store_credit": True})
    assert on.json()["totals"]["store_credit"] == 1200
    # Whoever has come by the token sees it, and pays with what is theirs.
    for somebody, status in ((guest, 401), (stranger, 404)):
        for way in ("payment", "payment/test"):
            wanted = {"payment_type": "test", "payment_token": "ok", "amount": TOTAL - 1200}
            body = wanted if way == "payment" else {}
            refused = await somebody.call("POST", f"/checkout/{member.token}/{way}", body)
            assert refused.status_code == status, refused.text
    assert (await member.read_checkout())["state"] == "priced"
    off = await member.call("PUT", path, {"use_store_credit": False})
    assert off.json()["totals"]["store_credit"] == 0
    shown = (await member.call("GET", "/customer/store-credit")).json()
    assert shown == {"balance": 1200, "currency": "USD", "others": []}
