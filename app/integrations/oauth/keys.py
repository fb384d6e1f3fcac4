"""The keys that a provider signs with: fetched once, kept, and asked for again when a new one appears."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.util import base64_to_int

from app.integrations.oauth.outcomes import away, refused
from app.kit.errors import Unavailable

log = structlog.get_logger("storefront.oauth")

# Which keys an algorithm takes. The algorithms are ours, never those that a provider or a token names:
# all asymmetric, so that a public key is of no use for signing. RS256 is what OpenID Connect demands of every
# provider, ES256 and PS256 are what its stricter profile (FAPI 2.0) has.
KEY_TYPES: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
_PUBLIC: Final = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
# Shorter ones can be broken, longer ones keep the process busy.
_RSA_BITS: Final = range(2048, 8193)
_MOST_KEYS: Final = 100

# Keys are asked for anew after an hour. While the provider cannot be asked, those that are there stay good for
# a day: a withdrawn key should not be believed for ever.
FRESH_SECONDS: Final = 3600.0
KEPT_SECONDS: Final = 86_400.0
# Tokens with made-up key ids must not make us call the provider each time; a failed try may be repeated sooner.
GAP_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 5.0

Fetch = Callable[[], Awaitable[dict[str, Any]]]


class ProviderKeys:
    """The keys of one provider, in one process. `fetch` reads its key set and raises Unavailable."""

    def __init__(self, provider: str, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._fetched_at = float("-inf")
        self._next_try = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> Key:
        """The key for a signature. Raises Unauthenticated where there is none, Unavailable without any keys."""
        age = self._clock() - self._fetched_at
        if age > FRESH_SECONDS:
            await self._refresh()
        found = self._choose(key_id, algorithm)
        if found is None and await self._refresh():
            found = self._choose(key_id, algorithm)
        if found is not None:
            return found
        if not self._current():
            raise away(self._provider, "no keys")
        raise refused(self._provider, "no such key")

    def _current(self) -> Sequence[Key]:
        return self._keys if self._clock() - self._fetched_at <= KEPT_SECONDS else ()

    def _choose(self, key_id: str | None, algorithm: str) -> Key | None:
        """The key of this id; without an id the only one that the signature can be by."""
        fitting = [
            key
            for key in self._current()
            if key.key_type == KEY_TYPES[algorithm] and key.get("alg") in {None, algorithm}
        ]
        if key_id is not None:
            fitting = [key for key in fitting if key.get("kid") == key_id]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> bool:
        """Ask for the keys, one caller for all who wait. Whether there are newer ones now."""
        before = self._fetched_at
        async with self._lock:
            if self._fetched_at > before:
                return True
            if self._clock() < self._next_try:
                return False
            try:
                keys = _usable(await self._fetch())
            except Unavailable:
                self._next_try = self._clock() + RETRY_SECONDS
                return False
            self._next_try = self._clock() + GAP_SECONDS
            if not keys:
                log.warning("a key set without usable keys", provider=self._provider)
                return False
            self._keys, self._fetched_at = keys, self._clock()
            return True


def _usable(key_set: dict[str, Any]) -> list[Key]:
    """The keys for signatures that can be read (RFC 7517, section 5: what is not understood is left out)."""
    raw = key_set.get("keys")
    found: list[Key] = []
    for entry in raw[:_MOST_KEYS] if isinstance(raw, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") not in KEY_TYPES.values():
            continue
        if entry.get("use", "sig") != "sig" or entry.get("crv", "P-256") != "P-256":
            continue
        try:
            if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() not in _RSA_BITS:
                continue
            found.append(JWKRegistry.import_key({name: entry[name] for name in _PUBLIC if name in entry}))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return found
