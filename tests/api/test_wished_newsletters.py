"""A newsletter that a sign-up wished for: it begins by whoever wished it, and everybody else is asked.

Anybody can sign up with an address and wish. So what shows that somebody reads its mail begins nothing by itself: it
does where it is shown in the account's own login, else the mail that asks is sent.
"""

import re
from collections.abc import Awaitable, Callable

import pytest

from app.db.session import transaction
from app.domain.accounts.jobs import account_jobs
from app.domain.accounts.mailing import mail_login_link
from app.domain.newsletter.jobs import newsletter_jobs
from app.kit.clock import utc_now
from tests.api.account_shop import OTHER_PASSWORD, Person, signed_up, some_email
from tests.api.newsletter_calls import rows_of
from tests.api.social_shop import SocialShop, social_shop, with_google
from tests.shop import add_variant

SECRET = re.compile(r"(?:token|uuid)=([\w-]{43})")
ASKS = re.compile(r"newsletter/confirm\?token=([\w-]{43})")

Mails = Callable[[], Awaitable[list[tuple[str, str, str]]]]


@pytest.fixture
def mail_features():
    return account_jobs, newsletter_jobs


@pytest.fixture(scope="module")
async def shop(database_url, redis_url, sessions):
    async with social_shop(database_url, redis_url, sessions) as made:
        yield made


@pytest.fixture
async def wisher(shop: SocialShop, store, mails) -> Person:
    """Whoever signed up and wished, logged in; the mail to verify the address waits."""
    return await signed_up(shop.client, store, subscribe=True)


async def secret_of(mails: Mails) -> str:
    """The secret in the newest mail."""
    (found,) = SECRET.findall((await mails())[-1][2])
    return found


async def by_code(reader: Person, mails: Mails, shop: SocialShop) -> int:
    await reader.call("POST", "/customer/login/code", {"email": reader.email})
    (code,) = re.findall(r"^\s*(\d{6})\s*$", (await mails())[-1][2], re.MULTILINE)
    body = {"email": reader.email, "code": code}
    return (await reader.call("POST", "/customer/login/code/confirm", body)).status_code


async def by_link(reader: Person, mails: Mails, shop: SocialShop) -> int:
    await reader.call("POST", "/customer/login/code", {"email": reader.email})
    return (await reader.call("POST", "/customer/login/uuid", {"uuid": await secret_of(mails)})).status_code


async def by_link_of_staff(reader: Person, mails: Mails, shop: SocialShop) -> int:
    async with transaction(shop.sessions) as session:
        await mail_login_link(session, reader.store.id, email_key=reader.email, now=utc_now())
    return (await reader.call("POST", "/customer/login/uuid", {"uuid": await secret_of(mails)})).status_code


async def by_reset_token(reader: Person, mails: Mails, shop: SocialShop) -> int:
    await reader.call("POST", "/customer/password/forgot", {"email": reader.email})
    body = {"password_reset_token": await secret_of(mails)}
    return (await reader.call("POST", "/customer/login/reset-token", body)).status_code


async def by_new_password(reader: Person, mails: Mails, shop: SocialShop) -> int:
    await reader.call("POST", "/customer/password/forgot", {"email": reader.email})
    chosen = {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD}
    body = chosen | {"password_reset_token": await secret_of(mails)}
    return (await reader.call("POST", "/customer/password/reset", body)).status_code


async def by_provider(reader: Person, mails: Mails, shop: SocialShop) -> int:
    token = shop.issuer.id_token(sub=f"reader of {reader.email}", email=reader.email, email_verified=True)
    return (await with_google(reader, token)).status_code


WAYS = [by_code, by_link, by_link_of_staff, by_reset_token, by_new_password, by_provider]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_who_proves_the_address_another_way_is_asked(shop, wisher: Person, mails, sessions, way):
    await mails()
    assert await way(wisher.elsewhere(), mails, shop) == 200
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.status, row.consent_at) == ("pending", None)
    await agrees_when_asked(wisher, mails, sessions)


async def agrees_when_asked(reader: Person, mails: Mails, sessions) -> None:
    """One mail asks, and its link begins the newsletter."""
    (token,) = [found for to, _, body in await mails() if to == reader.email for found in ASKS.findall(body)]
    answer = await reader.elsewhere().call("POST", "/subscriptions/confirm", {"token": token})
    assert answer.status_code == 200, answer.text
    (row,) = await rows_of(sessions, reader.store)
    assert (row.email, row.status, row.consent_at is not None) == (reader.email, "subscribed", True)


async def test_who_opens_the_link_to_verify_without_the_login_is_asked(wisher: Person, mails, sessions):
    body = {"token": await secret_of(mails)}
    assert (await wisher.elsewhere().call("POST", "/customer/email/verify", body)).status_code == 204
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.status, row.consent_at) == ("pending", None)
    await agrees_when_asked(wisher, mails, sessions)


async def test_who_opens_the_link_in_the_login_that_wished_agrees_by_it(wisher: Person, mails, sessions):
    body = {"token": await secret_of(mails)}
    assert (await wisher.call("POST", "/customer/email/verify", body)).status_code == 204
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.status, row.consent_at is not None) == ("subscribed", True)
    assert not [body for _, _, body in await mails() if ASKS.search(body)]


@pytest.mark.parametrize(
    "way",
    [by_code, by_link, by_link_of_staff, by_reset_token, by_new_password],
    ids=lambda way: way.__name__,
)
async def test_who_proves_the_address_in_the_login_that_wished_agrees_by_it(
    shop, wisher: Person, mails, sessions, way
):
    await mails()
    assert await way(wisher, mails, shop) == 200
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.status, row.consent_at is not None) == ("subscribed", True)
    assert not [body for _, _, body in await mails() if ASKS.search(body)]


@pytest.mark.parametrize("way", [by_code, by_provider], ids=lambda way: way.__name__)
async def test_who_wished_for_none_is_not_asked(shop, store, mails, sessions, way):
    person = await signed_up(shop.client, store, subscribe=False)
    await mails()
    assert await way(person.elsewhere(), mails, shop) == 200
    assert await rows_of(sessions, store) == []
    assert not [body for _, _, body in await mails() if ASKS.search(body)]


async def test_a_new_address_whose_link_was_opened_without_the_login_is_asked(
    wisher: Person, mails, sessions
):
    """It may be a stranger's: what the customer agreed to, and who they are, stays away from it."""
    assert (await wisher.call("POST", "/customer/email/verify", {"token": await secret_of(mails)})).is_success
    (before,) = await rows_of(sessions, wisher.store)
    who = {"name": "Ada Berg", "day": 3, "month": 2, "year": 1990, "gender": "female"}
    assert (await wisher.call("PUT", f"/subscriptions/{before.uuid}", who)).status_code == 200
    await mails()
    new = some_email()
    assert (await wisher.call("PATCH", "/customer", {"email": new})).status_code == 200
    opened = await wisher.elsewhere().call(
        "POST", "/customer/email/verify", {"token": await secret_of(mails)}
    )
    assert opened.status_code == 204
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.email, row.status, row.name, row.customer_id) == (new, "pending", None, wisher.id)
    assert row.uuid != before.uuid
    await agrees_when_asked(wisher.elsewhere(email=new), mails, sessions)


async def test_what_a_stranger_agreed_to_is_not_shown_to_an_account_that_came_to_their_address(
    guest_reader: Person, wisher: Person, mails, sessions
):
    """The reader has the newsletter under their name; then a link to their address is opened without a login."""
    assert (await wisher.call("POST", "/customer/email/verify", {"token": await secret_of(mails)})).is_success
    await mails()
    assert (await wisher.call("PATCH", "/customer", {"email": guest_reader.email})).status_code == 200
    opened = await guest_reader.call("POST", "/customer/email/verify", {"token": await secret_of(mails)})
    assert opened.status_code == 204
    (asks,) = [found for _, _, body in await mails() for found in ASKS.findall(body)]
    assert (await guest_reader.call("POST", "/subscriptions/confirm", {"token": asks})).status_code == 200
    (row,) = await rows_of(sessions, wisher.store)
    assert (row.name, row.customer_id) == ("Vera", wisher.id)
    assert (await wisher.call("GET", "/customer/export")).json()["newsletter"] == []


@pytest.fixture
async def guest_reader(shop: SocialShop, store, mails, sessions) -> Person:
    """Somebody without an account who gets the newsletter, and has said who they are."""
    reader = Person(shop.client, store)
    asked = await reader.call("POST", "/subscriptions", {"email": reader.email})
    (asks,) = ASKS.findall((await mails())[-1][2])
    assert (await reader.call("POST", "/subscriptions/confirm", {"token": asks})).status_code == 200
    who = {"name": "Vera", "day": 1, "month": 1, "year": 1980, "gender": "female"}
    told = await reader.call("PUT", f"/subscriptions/{asked.json()['uuid']}", who)
    assert told.status_code == 200, told.text
    return reader


async def agreed(shop: SocialShop, store, mails: Mails, sessions) -> Person:
    """A reader without an account, who asked for the newsletter and agreed by its mail."""
    reader = Person(shop.client, store)
    assert (await reader.call("POST", "/subscriptions", {"email": reader.email})).status_code == 200
    await agrees_when_asked(reader, mails, sessions)
    return reader


async def told(person: Person) -> tuple[bool, int]:
    """Whether the profile says that the newsletter comes, and how much of it the export has."""
    profile = (await person.call("GET", "/customer")).json()
    return profile["subscribed"], len((await person.call("GET", "/customer/export")).json()["newsletter"])


async def test_the_newsletter_of_an_address_is_shown_to_the_customer_who_has_proven_it(
    shop, store, mails, sessions
):
    reader = await agreed(shop, store, mails, sessions)
    await mails()
    customer = await signed_up(shop.client, store, email=reader.email, subscribe=False)
    assert await told(customer) == (False, 0)
    body = {"token": await secret_of(mails)}
    assert (await customer.call("POST", "/customer/email/verify", body)).status_code == 204
    assert await told(customer) == (True, 1)
    (row,) = await rows_of(sessions, store)
    ended = await reader.call(
        "POST", f"/subscriptions/{row.uuid}/unsubscribe", {"List-Unsubscribe": "One-Click"}
    )
    assert ended.status_code == 200
    assert await told(customer) == (False, 1)


async def test_closing_an_account_that_proved_no_address_takes_nothing_from_the_owner_of_it(
    shop, store, mails, sessions
):
    """Anybody can sign up with an address and close that account: its newsletter and wishes stay its owner's."""
    reader = await agreed(shop, store, mails, sessions)
    variant = await add_variant(sessions, store, on_hand=0)
    wish = {"email": reader.email, "product_ids": [variant]}
    assert (await reader.call("POST", "/products/back-in-stock", wish)).status_code == 200
    for wished in (False, True):
        await mails()
        stranger = await signed_up(shop.client, store, email=reader.email, subscribe=wished)
        if wished:
            # Whoever owns the address opens what comes, and agrees to what a stranger wished for.
            await reader.call("POST", "/customer/email/verify", {"token": await secret_of(mails)})
            await agrees_when_asked(reader, mails, sessions)
        assert (await stranger.call("DELETE", "/customer")).status_code == 204
        (row,) = await rows_of(sessions, store)
        assert (row.status, row.confirmed_at is None, row.customer_id) == ("subscribed", False, None)
    assert await shop.rows("SELECT email_key FROM stock_wishes WHERE store_id = :id", id=store.id) == [
        (reader.email,)
    ]
