"""Logins by redirect while they are under way: one record each in Redis, under the digest of its secret."""

from typing import TypeVar

import msgspec

from app.integrations.redis import RedisGateway
from app.kit.ids import digest

T = TypeVar("T", bound=msgspec.Struct)


class RedisLogins:
    """Implements LoginRecords.

    GETDEL and SET NX are not sent twice without harm: where a connection broke in between, the login is
    refused and the shopper begins anew, which is the safe side.
    """

    def __init__(self, gateway: RedisGateway) -> None:
        self._gateway = gateway

    async def keep(self, secret: str, record: msgspec.Struct, *, seconds: int) -> None:
        key, value = _key(record.__class__, secret), msgspec.json.encode(record)
        await self._gateway.run(lambda client: client.set(key, value, ex=seconds))

    async def take(self, secret: str, kind: type[T]) -> T | None:
        key = _key(kind, secret)
        found = await self._gateway.run(lambda client: client.getdel(key))
        return None if found is None else msgspec.json.decode(found, type=kind)

    async def use_once(self, word: str, *, seconds: int) -> bool:
        key = f"used:{digest(word).hex()}"
        return bool(await self._gateway.run(lambda client: client.set(key, b"", ex=seconds, nx=True)))


def _key(kind: type[msgspec.Struct], secret: str) -> str:
    return f"{kind.__name__.lower()}:{digest(secret).hex()}"
