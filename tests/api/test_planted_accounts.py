"""Accounts that somebody made with another's address: whichever way its owner comes in, the planter is out.

Each story begins with an account that a thief made and equipped with whatever opens it: a password, a session, a
passkey, another provider, a change of address that waits. Then the owner of the address does what its mails ask for:
perhaps they open the link that verifies it, which proves nobody; at last they come in by a way that proves them.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.db.session import transaction
from app.domain.accounts.mailing import mail_login_link
from app.kit.clock import utc_now
from tests.api.account_shop import OTHER_PASSWORD, Person, signed_up, some_email
from tests.api.social_shop import SocialShop, social_shop, with_google
from tests.shop import add_variant

SECRET = re.compile(r"(?:token|uuid)=([\w-]{43})")


@pytest.fixture(scope="module")
async def shop(database_url, redis_url, sessions):
    async with social_shop(database_url, redis_url, sessions) as made:
        yield made


@dataclass
class Story:
    """`mail` is the one that the sign-up caused: whoever reads the address has it."""

    shop: SocialShop
    thief: Person
    owner: Person
    subject: str
    mail: str
    mails: Callable[[], Awaitable[list[tuple[str, str, str]]]]

    async def mailed(self) -> str:
        """The body of the newest mail to the owner."""
        return [body for to, _, body in await self.mails() if to == self.owner.email][-1]


@pytest.fixture
async def story(shop: SocialShop, store, mails) -> Story:
    thief = await signed_up(shop.client, store)
    ((_, _, mail),) = await mails()
    subject = uuid4().hex
    linked = shop.issuer.id_token(sub=subject, email=thief.email, email_verified=False)
    again = thief.elsewhere()
    assert (await with_google(again, linked, password=thief.password)).status_code == 200
    async with transaction(shop.sessions) as session:
        await session.execute(
            text(
                "INSERT INTO passkeys (store_id, customer_id, credential_id, public_key, sign_count, backed_up, name) "
                "VALUES (:store, :id, :key, '\\x00', 0, false, 'thief''s')"
            ),
            {"store": store.id, "id": thief.id, "key": uuid4().bytes},
        )
    return Story(shop, thief, thief.elsewhere(agent="Owner's app 2.0"), subject, mail, mails)


@pytest.fixture(params=[False, True], ids=["the link unopened", "the link opened"])
async def armed(story: Story, request) -> Story:
    """The same, the address verified by its curious owner or not, with a change to the thief's own under way."""
    if request.param:
        assert (await opens(story.owner, story.mail)).status_code == 204
    wish = {"email": some_email(), "current_password": story.thief.password}
    assert (await story.thief.call("PATCH", "/customer", wish)).status_code == 200
    await story.mails()
    return story


async def is_out(story: Story) -> None:
    """Nothing of what the thief had opens the account any more."""
    thief = story.thief
    assert not await thief.is_logged_in()
    assert (await thief.elsewhere().log_in()).status_code == 401
    token = story.shop.issuer.id_token(sub=story.subject, email=None)
    assert (await with_google(thief.elsewhere(), token)).status_code != 200
    left = await story.shop.rows(
        "SELECT (SELECT count(*) FROM passkeys WHERE customer_id = c.id), "
        "(SELECT count(*) FROM customer_identities WHERE customer_id = c.id AND subject = :subject), "
        "c.new_email, c.email_verified_at IS NOT NULL AND c.owner_proven_at IS NOT NULL "
        "FROM customers c WHERE c.id = :id",
        id=thief.id,
        subject=story.subject,
    )
    assert left == [(0, 0, None, True)]


async def opens(person: Person, mail: str) -> httpx.Response:
    """Open the link to verify an address, in whatever login the person has there."""
    (token,) = SECRET.findall(mail)
    return await person.call("POST", "/customer/email/verify", {"token": token})


async def knows(story: Story) -> tuple[bool, bool]:
    """Whether the address is verified, and whether its owner is proven."""
    (found,) = await story.shop.rows(
        "SELECT email_verified_at IS NOT NULL, owner_proven_at IS NOT NULL FROM customers WHERE id = :id",
        id=story.thief.id,
    )
    return found


async def enter_by_code(story: Story) -> httpx.Response:
    await story.owner.call("POST", "/customer/login/code", {"email": story.owner.email})
    (code,) = re.findall(r"^\s*(\d{6})\s*$", await story.mailed(), re.MULTILINE)
    body = {"email": story.owner.email, "code": code}
    return await story.owner.call("POST", "/customer/login/code/confirm", body)


async def test_opening_the_link_verifies_the_address_and_vouches_for_nobodys_password(story: Story):
    """The owner, who is curious or hasty, opens the link of a mail that a stranger caused."""
    opened = await opens(story.owner, story.mail)
    assert (opened.status_code, opened.content) == (204, b"")
    assert not {"set-cookie", "authorization"} & set(opened.headers)
    assert await knows(story) == (True, False)
    again = await opens(story.owner, story.mail)
    assert (again.status_code, again.json()["code"]) == (422, "token_not_usable")


@pytest.mark.parametrize("who", ["another account", "an ended login"])
async def test_a_login_that_is_not_the_accounts_own_proves_nothing(story: Story, store, who):
    opener = await signed_up(story.shop.client, store)
    if who == "an ended login":
        opener = story.thief.elsewhere()
        await opener.log_in()
        await opener.elsewhere(auth_key=opener.auth_key).call("POST", "/customer/logout")
    assert (await opens(opener, story.mail)).status_code == 204
    assert await knows(story) == (True, False)
    assert await story.thief.is_logged_in()


async def test_a_verified_address_is_not_the_planters_to_see(story: Story, sessions, store):
    """What was asked for with the address is shown to whoever proved to own it, and nobody proved that yet."""
    variant = await add_variant(sessions, store, on_hand=0)
    wish = {"email": story.owner.email, "product_ids": [variant]}
    assert (await story.owner.call("POST", "/products/back-in-stock", wish)).status_code == 200
    await opens(story.owner, story.mail)
    assert (await story.thief.call("GET", "/customer/export")).json()["back_in_stock"] == []
    answer = await enter_by_code(story)
    story.owner.auth_key = answer.json()["auth_key"]
    assert len((await story.owner.call("GET", "/customer/export")).json()["back_in_stock"]) == 1


async def test_an_account_that_a_stranger_moved_to_the_address_is_its_owners_for_the_taking(
    story: Story, store
):
    """A thief, proven at an address of their own, moves to the owner's, and the owner opens the link."""
    thief, owner = await signed_up(story.shop.client, store), Person(story.shop.client, store)
    assert (await opens(thief, (await story.mails())[-1][2])).status_code == 204
    assert (await thief.call("PATCH", "/customer", {"email": owner.email})).status_code == 200
    ((to, _, body),) = await story.mails()
    assert to == owner.email
    assert (await opens(owner, body)).status_code == 204
    profile = (await thief.call("GET", "/customer")).json()
    assert (profile["email"], profile["email_verified"]) == (owner.email, True)
    moved = replace(
        story, thief=thief.elsewhere(email=owner.email, auth_key=thief.auth_key), owner=owner, subject="none"
    )
    assert await knows(moved) == (True, False)
    answer = await enter_by_code(moved)
    assert (answer.status_code, answer.json()["has_password"]) == (200, False)
    await is_out(moved)


async def test_whoever_made_the_account_proves_it_and_keeps_everything(story: Story):
    """Here the one who signed up reads the mail too: on another device, once they are logged in there."""
    elsewhere = story.thief.elsewhere()
    await elsewhere.log_in()
    assert (await opens(elsewhere, story.mail)).status_code == 204
    assert await knows(story) == (True, True)
    assert await story.thief.is_logged_in()
    assert (await enter_by_code(story)).json()["has_password"] is True
    assert (await story.thief.elsewhere().log_in()).status_code == 200


async def test_whoever_opened_the_link_without_a_login_can_have_another_to_prove_it(story: Story):
    await opens(story.owner, story.mail)
    assert (await story.thief.call("PATCH", "/customer", {"email": story.thief.email})).status_code == 200
    ((_, _, mail),) = await story.mails()
    assert (await opens(story.thief, mail)).status_code == 204
    assert await knows(story) == (True, True)


async def test_a_new_password_by_mail_drives_the_planter_out(armed: Story):
    await armed.owner.call("POST", "/customer/password/forgot", {"email": armed.owner.email})
    (token,) = SECRET.findall(await armed.mailed())
    chosen = {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD, "password_reset_token": token}
    answer = await armed.owner.call("POST", "/customer/password/reset", chosen)
    assert answer.status_code == 200, answer.text
    await is_out(armed)
    assert (await armed.owner.elsewhere(password=OTHER_PASSWORD).log_in()).status_code == 200


async def test_a_mailed_code_drives_the_planter_out(armed: Story):
    answer = await enter_by_code(armed)
    assert (answer.status_code, answer.json()["has_password"]) == (200, False)
    await is_out(armed)


async def test_the_link_beside_the_code_drives_the_planter_out(armed: Story):
    await armed.owner.call("POST", "/customer/login/code", {"email": armed.owner.email})
    (link,) = SECRET.findall(await armed.mailed())
    answer = await armed.owner.call("POST", "/customer/login/uuid", {"uuid": link})
    assert (answer.status_code, answer.json()["has_password"]) == (200, False)
    await is_out(armed)


async def test_a_provider_that_verified_the_address_drives_the_planter_out(armed: Story):
    token = armed.shop.issuer.id_token(sub=uuid4().hex, email=armed.owner.email, email_verified=True)
    answer = await with_google(armed.owner, token)
    assert (answer.status_code, answer.json()["has_password"]) == (200, False)
    assert answer.json()["id"] == armed.thief.id
    await is_out(armed)


async def test_a_link_that_staff_mailed_drives_the_planter_out(armed: Story, store):
    async with transaction(armed.shop.sessions) as session:
        await mail_login_link(session, store.id, email_key=armed.owner.email, now=utc_now())
    (link,) = SECRET.findall(await armed.mailed())
    answer = await armed.owner.call("POST", "/customer/login/uuid", {"uuid": link})
    assert (answer.status_code, answer.json()["has_password"]) == (200, False)
    await is_out(armed)


async def test_the_link_of_the_sign_up_is_void_once_the_owner_is_in(story: Story):
    token = story.shop.issuer.id_token(sub=uuid4().hex, email=story.owner.email, email_verified=True)
    assert (await with_google(story.owner, token)).status_code == 200
    again = await opens(story.owner, story.mail)
    assert (again.status_code, again.json()["code"]) == (422, "token_not_usable")
