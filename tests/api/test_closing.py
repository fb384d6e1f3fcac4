"""Taking one's data along and closing the account: nothing personal stays, nothing that others rest on goes."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.db.audit import run_audit
from app.db.session import transaction
from app.domain.accounts.closing import closing_jobs
from app.domain.checkout.cancelling import ask_to_cancel
from app.domain.giftcards.service import give_credit
from app.domain.orders.jobs import order_jobs
from app.domain.orders.shipping import ship_order
from app.domain.stores.directory import StoreDirectory
from app.integrations.mail import MailTemplates
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.account_shop import Person, signed_up
from tests.people import session_store
from tests.shop import ADDRESS, Guest, add_variant, settings_for

BOOK = "/customer/addresses"
# What the customer of these tests says of themselves, here and there.
PERSONAL = (
    "Ottilie",
    "Quandt",
    "Silberweg",
    "97201",
    "5035550123",
    "Shop app 2.0",
    "visitor-77",
    "127.0.0.1",
    "SNAIL-77",
    "Elderflower",
)
STREET = {**ADDRESS, "first_name": "Ottilie", "last_name": "Quandt", "address_one": "4 Silberweg"}


@pytest.fixture
async def person(guest: Guest) -> Person:
    made = await signed_up(guest.client, guest.store, username="Ottilie Quandt", identity="visitor-77")
    await made.call("PATCH", "/customer", {"firstname": "Ottilie", "lastname": "Quandt", "gender": "female"})
    await made.call("POST", BOOK, STREET)
    return made


async def buy(person: Person, guest: Guest, sessions, *, card: str = "ok") -> str:
    """An order of the customer; its address, or that of the checkout where it was not placed."""
    variant = await add_variant(sessions, guest.store, on_hand=50)
    member = Guest(
        guest.client,
        guest.store,
        guest.option_id,
        email=person.email,
        headers={"Authorization": f"Bearer {person.auth_key}"},
    )
    await member.add(variant, 2)
    await member.open_checkout()
    await member.call(
        "PUT",
        f"/checkout/{member.token}/customer",
        {"email": person.email, "shipping_address": STREET, "identity": "visitor-77"},
    )
    ready = await member.call(
        "PUT", f"/checkout/{member.token}/shipping", {"shipping_option_id": guest.option_id}
    )
    paid = await member.pay(ready.json()["totals"]["total"], payment_token=card)
    return paid.headers.get("location", f"/storefront/v1/checkout/{member.token}")


async def ship(sessions, store, path: str) -> int:
    """Send the order of that address off; its id."""
    order_id = int(path.rpartition("/")[2])
    async with transaction(sessions) as session:
        await ship_order(
            session,
            store.id,
            order_id,
            quantities=None,
            carrier="Snail Post",
            number="SNAIL-77",
            url="https://snails.example/SNAIL-77",
            now=utc_now(),
        )
    return order_id


async def wish_away(sessions, reads, store, path: str) -> None:
    """Ask for the end of the order of that address, in the customer's own words."""
    offered = {"reasons": ["Other"], "orders": {"cancel_at_once": False}}
    query = text(
        "UPDATE stores SET cancellation_reasons = CAST(:reasons AS jsonb),"
        " settings = jsonb_set(settings, '{orders}', CAST(:orders AS jsonb)) WHERE id = :id"
    )
    async with transaction(sessions) as session:
        written = {name: json.dumps(value) for name, value in offered.items()}
        await session.execute(query, {"id": store.id, **written})
    config = await StoreDirectory(reads).get(store.id)
    async with transaction(sessions) as session:
        await ask_to_cancel(
            session,
            config,
            int(path.rpartition("/")[2]),
            reason="Other",
            note="I am moving to Elderflower Alley",
            now=utc_now(),
        )


async def everything(sessions, store) -> str:
    """Every row of every table that the store has, as one text."""
    async with sessions() as session:
        tables = await session.scalars(
            text(
                "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t "
                "USING (table_schema, table_name) WHERE c.table_schema = 'public' "
                "AND t.table_type = 'BASE TABLE' AND c.column_name = 'store_id'"
            )
        )
        found = []
        for table in tables:
            rows = await session.scalar(
                text(
                    f"SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]')::text FROM {table} t WHERE store_id = :id"
                ),
                {"id": store.id},
            )
            found.append(f"{table}: {rows}")
    return "\n".join(found)


async def close(person: Person, **body):
    return await person.call("DELETE", "/customer", body or None)


async def test_nothing_personal_is_left_anywhere(person, guest, sessions, reads):
    await ship(sessions, guest.store, await buy(person, guest, sessions))
    await wish_away(sessions, reads, guest.store, await buy(person, guest, sessions))
    async with transaction(sessions) as session:
        await give_credit(
            session,
            guest.store.id,
            person.id,
            amount=500,
            currency="USD",
            reason="The parcel that went to Silberweg late",
            now=utc_now(),
        )
    await person.call("POST", "/customer/password/forgot", {"email": person.email})
    await person.elsewhere(agent="Shop app 2.0").log_in()  # a new device, of which a mail tells
    # A checkout and a cart that are open.
    await buy(person, guest, sessions, card="decline")
    before = await everything(sessions, guest.store)
    assert [word for word in (*PERSONAL, person.email) if word not in before] == []
    assert (await close(person, give_up_balance=True)).status_code == 204
    after = await everything(sessions, guest.store)
    goodbye = next(line for line in after.splitlines() if line.startswith("jobs: "))
    rest = after.replace(goodbye, "")
    assert [word for word in (*PERSONAL, person.email) if word in rest] == []
    # Only the mail that confirms the end still knows the address, until it is sent.
    assert goodbye.count(person.email) == 1
    await say_goodbye(sessions, reads, guest.store)
    after = await everything(sessions, guest.store)
    assert [word for word in (*PERSONAL, person.email) if word in after] == []
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


class Box:
    """Keeps the mails that are sent."""

    def __init__(self) -> None:
        self.mails = []

    async def send(self, mail) -> None:
        self.mails.append(mail)


async def say_goodbye(sessions, reads, store) -> Box:
    box = Box()
    handlers = closing_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings_for("postgresql://", "redis://")),
        mailer=box,
    )
    while await work_once(sessions, handlers):
        pass
    return box


async def test_what_happens_to_an_order_afterwards_is_mailed_to_nobody(person, guest, sessions, reads):
    path = await buy(person, guest, sessions)
    await close(person)
    await ship(sessions, guest.store, path)
    box = Box()
    settings = settings_for("postgresql://", "redis://")
    handlers = order_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings),
        mailer=box,
        settings=settings,
        clock=utc_now,
    )
    while await work_once(sessions, handlers):
        pass
    assert [mail.to for mail in box.mails if mail.to.endswith("closed.invalid")] == []
    query = "SELECT state FROM jobs WHERE store_id = :id AND kind = 'orders.shipped'"
    async with sessions() as session:
        assert await session.scalar(text(query), {"id": guest.store.id}) == "done"


async def test_the_address_that_was_is_told_once(person, sessions, reads, guest):
    await close(person)
    box = await say_goodbye(sessions, reads, guest.store)
    mine = [mail for mail in box.mails if mail.to == person.email]
    assert len(mine) == 1
    assert "Ottilie" in mine[0].text


async def test_orders_are_kept_with_sums_country_and_ledger(person, guest, sessions, reads):
    path = await buy(person, guest, sessions)
    order_id = int(path.rpartition("/")[2])

    async def read():
        async with sessions() as session:
            row = await session.execute(
                text(
                    "SELECT o.number, o.total, o.customer_id, o.email, o.shipping_address, o.payment_status, "
                    "(SELECT jsonb_agg(to_jsonb(l) ORDER BY l.id) FROM order_lines l WHERE l.order_id = o.id) AS lines, "
                    "(SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) FROM ledger_entries e WHERE e.order_id = o.id) AS booked "
                    "FROM orders o WHERE o.id = :id"
                ),
                {"id": order_id},
            )
            return row.one()

    before = await read()
    await close(person)
    after = await read()
    for column in ("number", "total", "customer_id", "payment_status", "lines", "booked"):
        assert getattr(after, column) == getattr(before, column)
    assert after.email.endswith("@closed.invalid")
    address = after.shipping_address
    assert (address["country_code"], address["province"]) == ("US", "US-OR")
    assert (address["first_name"], address["address_one"], address["zip"], address["phone"]) == (
        "",
        "",
        None,
        "",
    )


async def test_every_session_ends_and_nobody_logs_in_any_more(person):
    elsewhere = person.elsewhere()
    assert (await elsewhere.log_in()).status_code == 200
    await close(person)
    assert not await person.is_logged_in()
    assert not await elsewhere.is_logged_in()
    # The session itself has ended, not only the account behind it.
    assert (await elsewhere.call("GET", BOOK)).json()["code"] == "login_required"
    assert (await person.elsewhere().log_in()).json()["code"] == "login_failed"
    assert (await close(person)).status_code == 401


async def test_the_mail_address_is_free_again(person, guest):
    await close(person)
    again = Person(guest.client, guest.store, email=person.email)
    assert (await again.sign_up()).status_code == 200
    assert again.id != person.id
    assert (await again.call("GET", BOOK)).json()["items"] == []
    assert (await again.call("GET", "/orders")).json()["items"] == []


async def test_what_is_open_at_the_till_ends(person, guest, sessions):
    path = await buy(person, guest, sessions, card="decline")
    await close(person)
    checkout = (await guest.call("GET", path.removeprefix("/storefront/v1"))).json()
    assert (checkout["state"], checkout["email"], checkout["items"]) == ("cancelled", None, [])


async def test_an_account_with_a_payment_on_its_way_stays(person, guest, sessions):
    await buy(person, guest, sessions, card="second_step")
    answer = await close(person)
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_underway")
    assert await person.is_logged_in()
    assert (await person.call("GET", BOOK)).json()["items"]


async def test_a_balance_is_not_lost_without_a_word(person, guest, sessions, reads):
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE customers SET referral_balance = 700 WHERE id = :id"), {"id": person.id}
        )
        await session.execute(
            text(
                "WITH t AS (INSERT INTO ledger_transactions (store_id, key) VALUES (:store, 'test') RETURNING id) "
                "INSERT INTO ledger_entries (store_id, transaction_id, account, currency, amount) "
                "SELECT :store, t.id, e.a, 'USD', e.n FROM t, "
                "(VALUES ('referral_rewards', 700), (:account, -700)) e (a, n)"
            ),
            {"store": guest.store.id, "account": f"referral:{person.id}"},
        )
        store = guest.store.id
        given = {"amount": 300, "currency": "USD", "reason": "Sorry", "now": utc_now()}
        await give_credit(session, store, person.id, **given)
    answer = await close(person)
    assert (answer.status_code, answer.json()["code"]) == (409, "balance_left")
    assert (answer.json()["balance"], answer.json()["currency"]) == (700, "USD")
    assert answer.json()["store_credit"] == [{"balance": 300, "currency": "USD"}]
    assert (await close(person, give_up_balance=True)).status_code == 204
    assert await run_audit(reads, utc_now(), store_id=guest.store.id) == []


async def test_a_login_of_long_ago_needs_the_password(person, guest, redis_url):
    async with session_store(redis_url) as kept:
        old = await kept.start(
            guest.store.id, person.id, remember=True, device="old", now=utc_now() - timedelta(hours=1)
        )
    late = person.elsewhere(auth_key=old.token)
    answer = await close(late)
    assert (answer.status_code, answer.json()["code"]) == (403, "fresh_login_needed")
    wrong = await close(late, current_password="not this one")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_password")
    assert await late.is_logged_in()
    assert (await close(late, current_password=person.password)).status_code == 204


@pytest.mark.parametrize("body", [None, {"give_up_balance": True}], ids=["no body", "a body"])
async def test_a_password_in_the_address_is_refused_and_closes_nothing(person, body):
    address = f"/customer?current_password={person.password}"
    answer = await person.call("DELETE", address, body)
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert (fault["field"], fault["code"]) == ("current_password", "body_only")
    assert "logs" in fault["message"]
    assert person.password not in answer.text
    assert await person.is_logged_in()


async def test_what_is_no_secret_may_stand_in_the_address(person):
    assert (await person.call("DELETE", "/customer?give_up_balance=1")).status_code == 204


async def test_a_wrong_password_counts_also_right_after_a_login(person):
    assert (await close(person, current_password="not this one")).status_code == 422
    assert await person.is_logged_in()


async def test_a_guest_has_nothing_to_close_or_export(guest):
    for method, path in (("DELETE", "/customer"), ("GET", "/customer/export")):
        answer = await guest.call(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "login_required")


async def test_others_keep_what_is_theirs(person, guest, sessions):
    other = await signed_up(guest.client, guest.store)
    await other.call("POST", BOOK, STREET)
    await buy(other, guest, sessions)
    before = (await other.call("GET", "/customer/export")).json()
    await close(person)
    after = (await other.call("GET", "/customer/export")).json()
    for said in (before, after):
        del said["exported_at"], said["sessions"]
    assert before == after


async def test_the_export_is_a_file_with_everything_and_no_secret(person, guest, sessions, reads):
    await ship(sessions, guest.store, await buy(person, guest, sessions))
    await wish_away(sessions, reads, guest.store, await buy(person, guest, sessions))
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE order_lines SET tax_rate = 66250 WHERE store_id = :id AND shipped = 0"),
            {"id": guest.store.id},
        )
    answer = await person.call("GET", "/customer/export")
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{guest.store.code}-')
    assert answer.headers["cache-control"] == "private, no-store"
    said = answer.json()
    assert (said["profile"]["email"], said["profile"]["firstname"]) == (person.email, "Ottilie")
    assert said["addresses"][0]["address"]["address_one"] == "4 Silberweg"
    assert said["orders"][0]["items"][0]["quantity"] == 2
    # In basis points, as fine as it was charged.
    assert [order["items"][0]["tax_rate"] for order in said["orders"]] == [0, 662.5]
    assert said["orders"][0]["payments"][0]["state"] == "captured"
    assert said["orders"][0]["parcels"][0]["number"] == "SNAIL-77"
    assert said["orders"][1]["cancellation"]["note"] == "I am moving to Elderflower Alley"
    assert [one["device"] for one in said["sessions"]]
    for kind in (
        "newsletter",
        "logins_by_providers",
        "passkeys",
        "carts",
        "checkouts",
        "reviews",
        "questions",
        "referral",
    ):
        assert kind in said
    whole = json.dumps(said)
    async with sessions() as session:
        row = (
            await session.execute(
                text("SELECT password_digest, invite_token FROM customers WHERE id = :id"), {"id": person.id}
            )
        ).one()
    assert "argon2" not in whole
    assert row.password_digest not in whole
    assert person.auth_key not in whole
    assert "token" not in whole.replace("invite_token", "")


async def test_another_customers_data_are_not_in_the_export(person, guest):
    other = await signed_up(guest.client, guest.store)
    whole = (await other.call("GET", "/customer/export")).text
    assert [word for word in ("Ottilie", "Silberweg", person.email) if word in whole] == []
