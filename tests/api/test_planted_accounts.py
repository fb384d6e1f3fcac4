"""Accounts that somebody made with another's address: whichever way its owner comes in, the planter is out.

Each story begins with an account that a thief made and equipped with whatever opens it: a password, a session, a
passkey, another provider, a change of address that waits. Then the owner of the address does what its mails ask for.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.db.session import transaction
from tests.api.account_shop import OTHER_PASSWORD, Person, signed_up, some_email
from tests.api.social_shop import SocialShop, social_shop, with_google

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


@pytest.fixture
async def armed(story: Story) -> Story:
    """The same, with a change to the thief's own address under way."""
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
        "c.new_email, c.email_verified_at IS NOT NULL FROM customers c WHERE c.id = :id",
        id=thief.id,
        subject=story.subject,
    )
    assert left == [(0, 0, None, True)]


async def is_proven(story: Story) -> bool:
    ((proven,),) = await story.shop.rows(
        "SELECT email_verified_at IS NOT NULL FROM customers WHERE id = :id", id=story.thief.id
    )
    return bool(proven)


async def test_opening_the_link_to_verify_vouches_for_nobody_elses_password(story: Story):
    """The owner, who is curious or hasty, opens the link of a mail that a stranger caused."""
    (token,) = SECRET.findall(story.mail)
    opened = await story.owner.call("POST", "/customer/email/verify", {"token": token})
    assert (opened.status_code, opened.json()["code"]) == (401, "login_required")
    assert not await is_proven(story)


async def test_the_link_to_verify_counts_in_no_other_account(story: Story, store):
    """Nor while the owner is logged in to another account of theirs."""
    other = await signed_up(story.shop.client, store)
    (token,) = SECRET.findall(story.mail)
    opened = await other.call("POST", "/customer/email/verify", {"token": token})
    assert (opened.status_code, opened.json()["code"]) == (422, "token_not_usable")
    assert not await is_proven(story)
    assert await story.thief.is_logged_in()


async def test_the_link_to_a_new_address_does_not_give_it_to_a_strangers_account(story: Story, store, mails):
    """A thief moves an account of their own to the owner's address, and the owner opens the link."""
    thief, owner = await signed_up(story.shop.client, store), Person(story.shop.client, store)
    await mails()
    assert (await thief.call("PATCH", "/customer", {"email": owner.email})).status_code == 200
    ((to, _, body),) = await mails()
    assert to == owner.email
    (token,) = SECRET.findall(body)
    assert (await owner.call("POST", "/customer/email/verify", {"token": token})).status_code == 401
    assert (await thief.call("GET", "/customer")).json()["email"] == thief.email


async def test_whoever_made_the_account_verifies_it_and_keeps_everything(story: Story):
    """Here the one who signed up reads the mail too: from another device, once they are logged in there."""
    (token,) = SECRET.findall(story.mail)
    elsewhere = story.thief.elsewhere()
    await elsewhere.log_in()
    assert (await elsewhere.call("POST", "/customer/email/verify", {"token": token})).status_code == 204
    assert await is_proven(story)
    assert await story.thief.is_logged_in()
    assert (await story.thief.elsewhere().log_in()).status_code == 200


async def test_a_new_password_by_mail_drives_the_planter_out(armed: Story):
    await armed.owner.call("POST", "/customer/password/forgot", {"email": armed.owner.email})
    (token,) = SECRET.findall(await armed.mailed())
    chosen = {"password": OTHER_PASSWORD, "confirm_password": OTHER_PASSWORD, "password_reset_token": token}
    answer = await armed.owner.call("POST", "/customer/password/reset", chosen)
    assert answer.status_code == 200, answer.text
    await is_out(armed)
    assert (await armed.owner.elsewhere(password=OTHER_PASSWORD).log_in()).status_code == 200


async def test_a_mailed_code_drives_the_planter_out(armed: Story):
    await armed.owner.call("POST", "/customer/login/code", {"email": armed.owner.email})
    (code,) = re.findall(r"^\s*(\d{6})\s*$", await armed.mailed(), re.MULTILINE)
    answer = await armed.owner.call(
        "POST", "/customer/login/code/confirm", {"email": armed.owner.email, "code": code}
    )
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


async def test_the_link_of_the_sign_up_is_void_once_the_owner_is_in(story: Story):
    (old,) = SECRET.findall(story.mail)
    token = story.shop.issuer.id_token(sub=uuid4().hex, email=story.owner.email, email_verified=True)
    assert (await with_google(story.owner, token)).status_code == 200
    again = await story.owner.call("POST", "/customer/email/verify", {"token": old})
    assert (again.status_code, again.json()["code"]) == (422, "token_not_usable")
