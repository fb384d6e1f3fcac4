"""Which passwords are good enough, and the thread that keeps them."""

import asyncio
import time

import pytest

from app.db.session import transaction
from app.domain.accounts.signing import check_login, lock_login
from app.domain.customers.devices import device_digest, device_name
from app.domain.customers.passwords import check_password, common_passwords
from app.domain.customers.queries import KnownLogin
from app.domain.customers.service import create_customer
from app.integrations.argon2 import Argon2Hasher, create_hasher
from app.kit.clock import utc_now
from app.kit.errors import Invalid, Unauthenticated, Unavailable
from app.settings import load_settings


@pytest.fixture
def hasher():
    made = Argon2Hasher(memory_kib=1024, time_cost=1, parallelism=1, most_waiting=4)
    yield made
    made.close()


def test_thousands_of_common_passwords_are_known_in_any_case():
    assert len(common_passwords()) > 10_000
    for word in ("password1", "PASSWORD1", "Qwertyuiop", "12345678"):
        with pytest.raises(Invalid):
            check_password(word)


@pytest.mark.parametrize(
    "word", ["ada@example.com", "ADA@EXAMPLE.COM", "adabergson", "Ada Bergson", "Bergson1"]
)
def test_a_password_is_not_the_name_or_the_address(word):
    names = ("Ada Bergson", "ada@example.com", "Bergson1@example.com")
    with pytest.raises(Invalid) as refused:
        check_password(word, names=names)
    assert refused.value.code == "weak_password"


@pytest.mark.parametrize(
    "word", ["a" + "\u0308" + "pfelbaum", "correct horse", "日本語のパスワード", "x1" * 64]
)
def test_good_passwords_pass_in_their_composed_form(word):
    assert check_password(word) == check_password(check_password(word))


def test_the_same_letters_composed_otherwise_are_the_same_password():
    assert check_password("A\u0308pfelbaum 7") == check_password("\u00c4pfelbaum 7")


async def test_a_digest_is_verified_and_tells_nothing_else(hasher):
    digest = await hasher.hash("correct horse")
    assert digest.startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    assert await hasher.verify(digest, "correct horse")
    assert not await hasher.verify(digest, "wrong horse")
    assert not await hasher.verify("not a digest", "correct horse")
    assert digest != await hasher.hash("correct horse")


async def test_a_shop_that_sets_nothing_hashes_as_owasp_says():
    hasher = create_hasher(load_settings({}))
    assert (await hasher.hash("correct horse")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    hasher.close()


async def test_nobody_has_a_password_even_the_one_that_is_verified_in_its_place(hasher):
    assert not await hasher.verify(None, "nobody's password")
    assert not await hasher.verify(None, "")


async def test_a_digest_of_other_parameters_is_outdated(hasher):
    stronger = Argon2Hasher(memory_kib=2048, time_cost=1, parallelism=1)
    digest = await hasher.hash("correct horse")
    assert stronger.is_outdated(digest)
    assert not hasher.is_outdated(digest)
    assert await stronger.verify(digest, "correct horse")
    stronger.close()


async def test_the_queue_ends_and_begins_again(hasher):
    answers = await asyncio.gather(*(hasher.hash("correct horse") for _ in range(10)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(refused) == 6
    assert all(answer.retry_after >= 1 for answer in refused)
    assert await hasher.hash("correct horse")


async def test_who_hangs_up_is_counted_until_the_thread_is_done():
    slow = Argon2Hasher(memory_kib=65_536, time_cost=4, parallelism=1, most_waiting=1)
    waiting = asyncio.create_task(slow.hash("correct horse"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Unavailable):
        await slow.hash("correct horse")
    slow.close()


async def test_the_event_loop_is_free_while_a_password_is_hashed():
    slow = Argon2Hasher(memory_kib=65_536, time_cost=6, parallelism=1)
    hashing = asyncio.create_task(slow.hash("correct horse"))
    turns, longest, last = 0, 0.0, time.perf_counter()
    while not hashing.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        turns, longest, last = turns + 1, max(longest, now - last), now
    assert turns > 10
    slow.close()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0 Safari/537.36 Edg/126.0", "Edge, Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.5 Safari/605.1.15", "Safari, macOS"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Storefront/2.1 (build 7)", "Storefront/2.1"),
        ("a\x07b", "ab"),
        ("", ""),
    ],
)
def test_devices_are_called_as_people_call_them(agent, name):
    assert device_name(agent) == name


def test_a_cookie_never_looks_like_an_app():
    def known(cookie: str | None, agent: str, network: str) -> bytes:
        return device_digest(cookie=cookie, agent=agent, network=network)

    assert known("x", "", "n") != known(None, "x", "n")
    assert known(None, "x", "n") != known(None, "x", "another network")
    assert known("x", "a", "n") == known("x", "another version", "another network")


class Counting:
    """A hasher that takes no time and tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []

    async def hash(self, password: str) -> str:
        return f"of {password}"

    async def verify(self, digest: str | None, password: str) -> bool:
        self.asked.append((digest, password))
        return digest == f"of {password}"

    def is_outdated(self, digest: str) -> bool:
        return False


@pytest.mark.parametrize("known", [None, KnownLogin(1, None, False), KnownLogin(1, "of something", False)])
async def test_a_login_that_fails_hashes_once_whoever_it_is_for(known):
    hasher = Counting()
    with pytest.raises(Unauthenticated):
        await check_login(known, "correct horse", hasher=hasher)
    assert len(hasher.asked) == 1


async def test_a_password_that_changed_since_it_was_checked_does_not_log_in(store, sessions):
    async with transaction(sessions) as session:
        made = await create_customer(
            session,
            store.id,
            email="ada@example.com",
            username="Ada",
            password_digest="of the old one",
            now=utc_now(),
        )
        made_id = made.id
    known = KnownLogin(made_id, "of the old one", False)
    async with sessions() as session:
        assert (await lock_login(session, store.id, known, stronger=None)).id == made_id
        stale = KnownLogin(made_id, "of an older one", False)
        with pytest.raises(Unauthenticated):
            await lock_login(session, store.id, stale, stronger=None)
        with pytest.raises(Unauthenticated):
            await lock_login(session, store.id + 1, known, stronger=None)


async def test_of_two_sign_ups_at_once_with_one_address_one_is_made(store, sessions):
    async def sign_up(email: str) -> str:
        try:
            async with transaction(sessions) as session:
                await create_customer(
                    session, store.id, email=email, username="Ada", password_digest=None, now=utc_now()
                )
        except Invalid as refused:
            return refused.code
        return "made"

    made = await asyncio.gather(*(sign_up(email) for email in ("bob@example.com", "BOB@example.com") * 4))
    assert sorted(made) == ["email_taken"] * 7 + ["made"]
