"""When a provider's keys are asked for, and how long those that are there stay good."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OctKey, RSAKey

from app.integrations.oauth.keys import (
    FRESH_SECONDS,
    GAP_SECONDS,
    KEPT_SECONDS,
    KEY_TYPES,
    RETRY_SECONDS,
    ProviderKeys,
)
from app.integrations.oauth.outcomes import away
from app.kit.errors import Unauthenticated, Unavailable
from tests.standins.issuer import CURVE_KEY, FIRST_KEY, SECOND_KEY


@dataclass
class Source:
    """A key server and a clock, both in the hand of the test."""

    published: list[Any] = field(default_factory=lambda: [FIRST_KEY.as_dict(private=False)])
    down: bool = False
    fetched: int = 0
    time: float = 1000.0

    async def fetch(self) -> dict[str, Any]:
        self.fetched += 1
        await asyncio.sleep(0)  # as a call over the network lets others run
        if self.down:
            raise away("test", "down")
        return {"keys": self.published}

    def keys(self) -> ProviderKeys:
        return ProviderKeys("test", self.fetch, clock=lambda: self.time)


async def found(keys: ProviderKeys, key_id: str | None, algorithm: str = "RS256") -> bool:
    try:
        return bool(await keys.find(key_id, algorithm))
    except Unauthenticated:
        return False


async def test_keys_are_fetched_once_and_kept() -> None:
    source = Source()
    keys = source.keys()
    for _ in range(5):
        assert await found(keys, "first")
    assert source.fetched == 1


async def test_many_first_logins_at_once_fetch_once() -> None:
    source = Source()
    keys = source.keys()
    assert all(await asyncio.gather(*(found(keys, "first") for _ in range(20))))
    assert source.fetched == 1


async def test_many_logins_with_a_new_key_at_once_all_find_it() -> None:
    source = Source()
    keys = source.keys()
    assert await found(keys, "first")
    source.time += GAP_SECONDS
    source.published.append(SECOND_KEY.as_dict(private=False))
    assert all(await asyncio.gather(*(found(keys, "second") for _ in range(20))))
    assert source.fetched == 2


async def test_an_unknown_key_id_fetches_again_but_not_each_time() -> None:
    source = Source()
    keys = source.keys()
    assert await found(keys, "first")
    for _ in range(10):
        assert not await found(keys, "made-up")
    assert source.fetched == 1
    source.time += GAP_SECONDS
    source.published.append(SECOND_KEY.as_dict(private=False))
    assert await found(keys, "second")
    assert source.fetched == 2


async def test_known_keys_work_while_the_key_server_is_down_but_not_for_ever() -> None:
    source = Source()
    keys = source.keys()
    assert await found(keys, "first")
    source.down = True
    source.time += FRESH_SECONDS + 1
    assert await found(keys, "first")
    assert not await found(keys, "second")
    source.time += KEPT_SECONDS
    with pytest.raises(Unavailable):
        await keys.find("first", "RS256")


async def test_a_key_server_that_is_down_is_not_asked_at_every_login_and_soon_again() -> None:
    source = Source(down=True)
    keys = source.keys()
    for _ in range(5):
        with pytest.raises(Unavailable):
            await keys.find("first", "RS256")
    assert source.fetched == 1
    source.down = False
    source.time += RETRY_SECONDS
    assert await found(keys, "first")


async def test_a_withdrawn_key_is_forgotten_with_the_next_fetch() -> None:
    source = Source()
    keys = source.keys()
    assert await found(keys, "first")
    source.published = [SECOND_KEY.as_dict(private=False)]
    source.time += FRESH_SECONDS + 1
    assert not await found(keys, "first")


async def test_without_a_key_id_only_the_single_fitting_key_counts() -> None:
    source = Source()
    source.published.append(CURVE_KEY.as_dict(private=False))
    assert await found(source.keys(), None)
    source.published.append(SECOND_KEY.as_dict(private=False))
    assert not await found(source.keys(), None)


def _weak() -> dict[str, Any]:
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
    modulus = numbers.n.to_bytes(128, "big")
    text = base64.urlsafe_b64encode(modulus).rstrip(b"=").decode()
    return {**FIRST_KEY.as_dict(private=False), "n": text}


UNUSABLE: dict[str, Any] = {
    "too short": _weak,
    "symmetric": lambda: OctKey.generate_key(256, {"kid": "first"}).as_dict(private=True),
    "for encryption": lambda: FIRST_KEY.as_dict(private=False) | {"use": "enc"},
    "of another algorithm": lambda: FIRST_KEY.as_dict(private=False) | {"alg": "PS256"},
    "without its numbers": lambda: {"kty": "RSA", "kid": "first"},
    "with broken numbers": lambda: {"kty": "RSA", "kid": "first", "n": "***", "e": 1},
    "of another curve": lambda: ECKey.generate_key("P-521", {"kid": "first"}).as_dict(private=False),
    "no object": lambda: "first",
    "of a kind that is not known yet": lambda: {"kty": "AKP", "kid": "first", "pub": "x"},
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_a_key_that_cannot_serve_is_left_out_and_the_others_stay(kind: str) -> None:
    source = Source(published=[UNUSABLE[kind](), SECOND_KEY.as_dict(private=False)])
    keys = source.keys()
    for algorithm in KEY_TYPES:
        if kind != "of another algorithm" or algorithm != "PS256":
            assert not await found(keys, "first", algorithm)
    assert await found(keys, "second")


async def test_a_private_part_that_was_published_by_mistake_is_not_kept() -> None:
    source = Source(published=[FIRST_KEY.as_dict(private=True)])
    key = await source.keys().find("first", "RS256")
    assert isinstance(key, RSAKey)
    assert not key.is_private
