"""Which passwords are good enough, and the thread that keeps them."""

import asyncio
import time

import pytest

from app.domain.customers.devices import device_digest, device_name
from app.domain.customers.passwords import check_password, common_passwords
from app.integrations.argon2 import Argon2Hasher
from app.kit.errors import Invalid, Unavailable


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
    assert device_digest(cookie="x", agent="") != device_digest(cookie=None, agent="x")
