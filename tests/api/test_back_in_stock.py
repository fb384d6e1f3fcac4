"""Being told when something is back: asked once, mailed once, by whichever write brings the stock back."""

import asyncio
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.session import Sessions, create_engine, transaction
from app.domain.catalogue.back_in_stock import WISH_LIFE, forget_old_wishes, settle_wishes, wish_for
from app.domain.catalogue.jobs import catalogue_jobs
from app.domain.catalogue.service import save_product
from app.domain.inventory.importing import StockCount, set_stock
from app.domain.inventory.service import release_stock, reserve_stock
from app.domain.stores.directory import StoreDirectory
from app.domain.stores.models import Store
from app.integrations.mail import FileMailer, MailTemplates
from app.kit.clock import utc_now
from app.worker import work_once
from tests.api.account_shop import signed_up
from tests.api.catalogue_shop import simple, tent
from tests.api.test_statements import counted
from tests.domain.product_files import load_file, table_bytes
from tests.shop import Guest, add_variant, settings_for, waiting_for_locks

__all__ = ["counted"]
KEY = "0b7f7a4e-1d0e-4c55-9d8e-2f4f8a3c9b10"


@pytest.fixture
async def mails(sessions: Sessions, reads, database_url, redis_url, tmp_path: Path):
    """Runs every due job of the catalogue; the mails that were not read before."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM jobs"))
    settings = settings_for(database_url, redis_url, STOREFRONT_PUBLIC_URL="https://shop.example")
    handlers = catalogue_jobs(
        sessions=sessions,
        stores=StoreDirectory(reads),
        writer=MailTemplates(settings),
        mailer=FileMailer(tmp_path / "mails"),
        settings=settings,
        clock=utc_now,
    )

    async def run():
        while await work_once(sessions, handlers):
            pass
        found = []
        for path in sorted((tmp_path / "mails").glob("*.eml")):
            found.append(message_from_bytes(path.read_bytes(), policy=default))
            path.unlink()
        return found

    return run


async def ask(guest: Guest, *variants: int, email: str = "ada@example.com", **headers: str) -> list[int]:
    answer = await guest.call(
        "POST", "/products/back-in-stock", {"email": email, "product_ids": list(variants)}, **headers
    )
    assert answer.status_code == 200, answer.text
    found: list[int] = answer.json()["subscribed"]
    return found


async def count(sessions: Sessions, store: Store, variant: int, units: int) -> None:
    async with transaction(sessions) as session:
        await set_stock(session, store.id, [StockCount(variant, on_hand=units)], now=utc_now())


async def wishes(sessions: Sessions, store: Store) -> list[tuple[int, str]]:
    query = text("SELECT variant_id, state FROM stock_wishes WHERE store_id = :store ORDER BY id")
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(query, {"store": store.id})]


async def test_who_asked_is_mailed_once_when_a_count_brings_it_back(guest: Guest, store, sessions, mails):
    variant = await add_variant(sessions, store, on_hand=0)
    for _ in range(2):
        assert await ask(guest, variant, **{"Accept-Language": "de"}) == [variant]
    assert await mails() == []
    await count(sessions, store, variant, 3)
    (mail,) = await mails()
    assert (mail["To"], mail["Content-Language"]) == ("ada@example.com", "de")
    assert f"variant={variant}" in mail.get_body(("plain",)).get_content()
    assert await wishes(sessions, store) == []
    for units in (0, 5):
        await count(sessions, store, variant, units)
    assert await mails() == []


async def test_a_count_that_leaves_it_sold_out_or_as_it_was_mails_nobody(
    guest: Guest, store, sessions, mails
):
    sold_out = await add_variant(sessions, store, on_hand=-2)
    there = await add_variant(sessions, store, on_hand=2)
    assert await ask(guest, there, sold_out) == [there, sold_out]
    await count(sessions, store, sold_out, -1)
    await count(sessions, store, there, 9)
    assert await mails() == []
    assert await wishes(sessions, store) == [(sold_out, "waiting"), (there, "waiting")]


async def test_a_reservation_that_ends_brings_it_back(guest: Guest, store, sessions, mails):
    variant = await add_variant(sessions, store, on_hand=1)
    until = utc_now() + timedelta(minutes=5)
    async with transaction(sessions) as session:
        await reserve_stock(session, store.id, checkout_id=1, demand={variant: 1}, expires_at=until)
    await ask(guest, variant)
    for expected in (1, 0):
        async with transaction(sessions) as session:
            await release_stock(session, store.id, checkout_id=1)
        assert len(await mails()) == expected


async def test_a_declined_payment_brings_it_back(guest: Guest, store, sessions, mails):
    variant = await add_variant(sessions, store, on_hand=1)
    await ask(guest, variant, email="bo@example.com")
    checkout = await guest.prepare(variant)
    declined = await guest.pay(checkout["totals"]["total"], payment_token="decline")
    assert declined.status_code == 402
    assert [mail["To"] for mail in await mails()] == ["bo@example.com"]


async def test_stock_that_is_gone_again_before_the_mail_waits_on(guest: Guest, store, sessions, mails):
    variant = await add_variant(sessions, store, on_hand=0)
    await ask(guest, variant)
    await count(sessions, store, variant, 1)
    await count(sessions, store, variant, 0)
    assert await mails() == []
    assert await wishes(sessions, store) == [(variant, "waiting")]
    await count(sessions, store, variant, 1)
    assert len(await mails()) == 1


async def test_the_import_tells_of_all_that_came_back_in_one_mail_an_address(
    guest: Guest, store, sessions, mails, database_url, tmp_path: Path
):
    async with transaction(sessions) as session:
        await save_product(session, store.id, tent(), now=utc_now())
        await session.execute(
            text("UPDATE stock_items SET on_hand = 0 WHERE store_id = :store"), {"store": store.id}
        )
    product = (await guest.call("GET", "/products/ridge-tent")).json()
    green, rust = (variant["id"] for variant in product["variants"])
    await ask(guest, green, rust)
    await ask(guest, rust, email="bo@example.com")
    file = tmp_path / "stock.csv"
    file.write_bytes(
        table_bytes(
            """
            Handle     | Title      | Option1 Name | Option1 Value | Variant Price | Variant Inventory Qty
            ridge-tent | Ridge Tent | Colour       | Pine Green    | 249.00        | 4
            ridge-tent |            |              | Rust          | 259.00        | 2
            """
        )
    )
    engine = create_engine(database_url, pool_size=2)
    await load_file(engine, store, file)
    await load_file(engine, store, file)
    await engine.dispose()
    found = {mail["To"]: mail.get_body(("plain",)).get_content() for mail in await mails()}
    assert set(found) == {"ada@example.com", "bo@example.com"}
    assert [f"variant={one}" in found["ada@example.com"] for one in (green, rust)] == [True, True]
    assert f"variant={green}" not in found["bo@example.com"]


async def test_a_product_that_goes_on_sale_again_with_stock_is_back(guest: Guest, store, sessions, mails):
    async with transaction(sessions) as session:
        await save_product(session, store.id, simple("lamp", "Lamp", 900), now=utc_now())
    variant = (await guest.call("GET", "/products/lamp")).json()["variants"][0]["id"]
    await count(sessions, store, variant, 0)
    await ask(guest, variant)
    for published in (False, True):
        async with transaction(sessions) as session:
            draft = simple("lamp", "Lamp", 900, published=published)
            await save_product(session, store.id, draft, now=utc_now())
        await count(sessions, store, variant, 4)
        assert len(await mails()) == published


async def test_what_is_not_on_sale_is_left_out_and_nothing_else_is_asked_for(guest: Guest, store, sessions):
    variant = await add_variant(sessions, store, on_hand=0)
    hidden = await add_variant(sessions, store, on_hand=0)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE variants SET listed = false WHERE id = :id"), {"id": hidden})
    assert await ask(guest, hidden, variant, variant, 2**62) == [variant]
    refused = await guest.call(
        "POST", "/products/back-in-stock", {"email": "ada@example.com", "product_ids": [hidden]}
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ada", "product_ids": [1]}, "email"),
        ({"email": "ada@example.com", "product_ids": []}, "product_ids"),
        ({"email": "ada@example.com", "product_ids": [0]}, "product_ids[0]"),
        ({"email": "ada@example.com", "product_ids": [1] * 101}, "product_ids"),
        ({"email": "ada@example.com"}, "product_ids"),
    ],
)
async def test_a_wish_that_cannot_be_kept_names_its_field(guest: Guest, body, field):
    answer = await guest.call("POST", "/products/back-in-stock", body)
    assert answer.status_code == 422, answer.text
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_forms_ask_by_their_bracket_names(guest: Guest, store, sessions):
    variant = await add_variant(sessions, store, on_hand=0)
    answer = await guest.client.post(
        "/storefront/v1/products/back-in-stock",
        data={"email": "ada@example.com", "product_ids[]": [str(variant)]},
        headers=guest.headers,
    )
    assert (answer.status_code, answer.json()) == (200, {"subscribed": [variant]})


async def test_a_customers_address_and_an_unknown_one_are_answered_alike(
    guest: Guest, store, sessions, counted
):
    known = await signed_up(guest.client, store)
    variant = await add_variant(sessions, store, on_hand=0)
    body = {"email": known.email, "product_ids": [variant]}
    seen = []
    for email in (known.email, "nobody@example.com", known.email):
        with counted() as statements:
            answer = await guest.call("POST", "/products/back-in-stock", {**body, "email": email})
        shown = {
            name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")
        }
        seen.append((answer.status_code, answer.content, shown, len(statements)))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][3] == 4, "BEGIN, what is on sale, the wishes, COMMIT"


async def test_a_repeated_call_with_its_key_is_answered_as_the_first(guest: Guest, store, sessions):
    variant = await add_variant(sessions, store, on_hand=0)
    body = {"email": "ada@example.com", "product_ids": [variant]}
    first, again = [
        await guest.call("POST", "/products/back-in-stock", body, **{"Idempotency-Key": KEY})
        for _ in range(2)
    ]
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    other = {**body, "email": "bo@example.com"}
    mismatch = await guest.call("POST", "/products/back-in-stock", other, **{"Idempotency-Key": KEY})
    assert (mismatch.status_code, mismatch.json()["code"]) == (409, "idempotency_mismatch")
    assert await wishes(sessions, store) == [(variant, "waiting")]


async def test_a_wish_that_is_made_while_stock_returns_is_not_missed(guest: Guest, store, sessions, mails):
    """The count waits for the wish that came a moment earlier, and then finds it."""
    variant = await add_variant(sessions, store, on_hand=0)
    async with sessions() as session:
        await wish_for(
            session, store.id, [variant], email="a@example.com", email_key="a@example.com", language=None,
            now=utc_now(),
        )  # fmt: skip
        counting = asyncio.create_task(count(sessions, store, variant, 2))
        await waiting_for_locks(sessions, 1)
        await session.commit()
    await counting
    assert len(await mails()) == 1


async def test_stock_that_returns_while_wishes_are_looked_through_is_not_missed(
    guest: Guest, store, sessions, mails
):
    variant = await add_variant(sessions, store, on_hand=0)
    await ask(guest, variant)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE stock_wishes SET state = 'due' WHERE store_id = :id"), {"id": store.id}
        )
    async with sessions() as session:
        await settle_wishes(session, store.id, now=utc_now())
        counting = asyncio.create_task(count(sessions, store, variant, 2))
        await waiting_for_locks(sessions, 1)
        await session.commit()
    await counting
    assert len(await mails()) == 1


@pytest.mark.parametrize("is_proven", [True, False], ids=["proven", "not_proven"])
async def test_a_closed_account_waits_for_nothing_at_the_address_that_it_has_proven(
    guest: Guest, store, sessions, is_proven
):
    known = await signed_up(guest.client, store)
    if is_proven:
        async with transaction(sessions) as session:
            await session.execute(
                text(
                    "UPDATE customers SET email_verified_at = now(), owner_proven_at = now() WHERE store_id = :id"
                ),
                {"id": store.id},
            )
    variant = await add_variant(sessions, store, on_hand=0)
    await ask(guest, variant, email=known.email)
    closed = await known.call("DELETE", "/customer", {"current_password": known.password})
    assert closed.status_code == 204, closed.text
    assert len(await wishes(sessions, store)) == (not is_proven)


async def test_wishes_are_forgotten_after_a_year(guest: Guest, store, sessions):
    variant = await add_variant(sessions, store, on_hand=0)
    await ask(guest, variant)
    await forget_old_wishes(sessions, now=utc_now() + WISH_LIFE - timedelta(days=1))
    assert len(await wishes(sessions, store)) == 1
    await forget_old_wishes(sessions, now=utc_now() + WISH_LIFE + timedelta(days=1))
    assert await wishes(sessions, store) == []
