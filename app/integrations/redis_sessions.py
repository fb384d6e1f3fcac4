"""Login sessions in Redis: one hash per session under the digest of its secret, one index per customer.

The scripts are atomic, and each bears being sent twice, as RedisGateway demands. They build the names of
further keys themselves, which a Redis Cluster would refuse: sessions want one Redis with its replicas.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from app.domain.customers.sessions import (
    MOST_DEVICE_LETTERS,
    MOST_PER_CUSTOMER,
    NewSession,
    Session,
    SessionLimits,
    end_of_life,
    life_left,
    needs_renewal,
)
from app.integrations.redis import RedisDown, RedisGateway
from app.kit.ids import digest, new_token

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = ("customer", "created", "seen", "ends", "remember", "device")

# Fields of the hash: times are milliseconds since 1970. The index scores each session by its end.
_START: Final = """
local session, index, former = KEYS[1], KEYS[2], KEYS[3]
local prefix, id, life, now, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local customer, ends = ARGV[6], tonumber(ARGV[7])
if former ~= session then
  local owner = redis.call('HGET', former, 'customer')
  if owner then
    redis.call('DEL', former)
    redis.call('ZREM', ARGV[10] .. owner, string.sub(former, #prefix + 1))
  end
end
redis.call('HSET', session, 'customer', customer, 'created', ARGV[4], 'seen', ARGV[4], 'ends', ARGV[7],
  'remember', ARGV[8], 'device', ARGV[9])
redis.call('PEXPIRE', session, life)
redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
redis.call('ZADD', index, ends, id)
if redis.call('ZCARD', index) > most then
  for _, other in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    if redis.call('EXISTS', prefix .. other) == 0 then redis.call('ZREM', index, other) end
  end
  for _, other in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    if redis.call('ZCARD', index) <= most then break end
    if other ~= id then
      redis.call('DEL', prefix .. other)
      redis.call('ZREM', index, other)
    end
  end
end
local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
redis.call('PEXPIRE', index, math.max(1, tonumber(last[2]) - now))
return 1
"""

_RENEW: Final = """
local seen = redis.call('HGET', KEYS[1], 'seen')
if not seen then return 0 end
if tonumber(seen) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'seen', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
"""

_END: Final = """
local owner = redis.call('HGET', KEYS[1], 'customer')
if not owner or (ARGV[3] ~= '' and ARGV[3] ~= owner) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', ARGV[2] .. owner, ARGV[1])
return 1
"""

_END_ALL_BUT: Final = """
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if id ~= ARGV[2] then
    ended = ended + redis.call('DEL', ARGV[1] .. id)
    redis.call('ZREM', KEYS[1], id)
  end
end
return ended
"""

_LIST: Final = """
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local fields = redis.call('HMGET', ARGV[1] .. id, 'customer', 'created', 'seen', 'ends', 'remember', 'device')
  if fields[1] then
    table.insert(found, {id, fields})
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
"""


class RedisSessions:
    """Implements SessionStore. A secret of 256 bits leaves this class once; Redis sees its SHA-256 only."""

    def __init__(self, gateway: RedisGateway, limits: SessionLimits) -> None:
        self._gateway = gateway
        self._limits = limits
        script = gateway.client.register_script
        self._start, self._renew = script(_START), script(_RENEW)
        self._end, self._end_all_but, self._list = script(_END), script(_END_ALL_BUT), script(_LIST)

    async def start(
        self,
        store_id: int,
        customer_id: int,
        *,
        remember: bool,
        device: str,
        now: datetime,
        replaces: str | None = None,
    ) -> NewSession:
        token = new_token()
        now = _moment(_ms(now))  # as it will be read back
        session = Session(
            id=digest(token).hex(),
            store_id=store_id,
            customer_id=customer_id,
            created_at=now,
            last_seen_at=now,
            ends_at=end_of_life(self._limits, remember=remember, created_at=now),
            remember=remember,
            device=_printable(device),
        )
        prefix = _session_prefix(store_id)
        former = _id_of(replaces) if replaces else None
        keys = [prefix + session.id, _index(store_id, customer_id), prefix + (former or session.id)]
        args: list[Any] = [
            prefix,
            session.id,
            self._life_ms(session, now),
            _ms(now),
            MOST_PER_CUSTOMER,
            customer_id,
            _ms(session.ends_at),
            int(remember),
            session.device,
            _index_prefix(store_id),
        ]
        await self._gateway.run(lambda _: self._start(keys, args))
        return NewSession(token, session)

    async def find(self, store_id: int, token: str, *, now: datetime) -> Session | None:
        session_id = _id_of(token)
        if session_id is None:
            return None
        session = await self._read(store_id, session_id)
        if session is None or life_left(session, self._limits, now) <= timedelta(0):
            return None
        if not needs_renewal(session, self._limits, now):
            return session
        try:
            return await self._prolong(session, now)
        except RedisDown:
            # It was live a moment ago; that the note of it is missing harms nobody.
            return session

    async def end(self, store_id: int, token: str) -> bool:
        session_id = _id_of(token)
        return session_id is not None and await self._end_by_id(store_id, session_id, owner="")

    async def end_one(self, store_id: int, customer_id: int, session_id: str) -> bool:
        if not _DIGEST.fullmatch(session_id):
            return False
        return await self._end_by_id(store_id, session_id, owner=str(customer_id))

    async def end_all_but(self, store_id: int, customer_id: int, keep: str | None) -> int:
        keys, args = [_index(store_id, customer_id)], [_session_prefix(store_id), keep or ""]
        return int(await self._gateway.run(lambda _: self._end_all_but(keys, args)))

    async def list_sessions(self, store_id: int, customer_id: int, *, now: datetime) -> Sequence[Session]:
        keys, args = [_index(store_id, customer_id)], [_session_prefix(store_id)]
        rows = await self._gateway.run(lambda _: self._list(keys, args))
        sessions = [_session(store_id, row[0].decode(), row[1]) for row in rows]
        live = [one for one in sessions if life_left(one, self._limits, now) > timedelta(0)]
        return sorted(live, key=lambda one: one.last_seen_at, reverse=True)

    async def _read(self, store_id: int, session_id: str) -> Session | None:
        key = _session_prefix(store_id) + session_id
        values = await self._gateway.run(lambda client: client.hmget(key, _FIELDS))
        return None if values[0] is None else _session(store_id, session_id, values)

    async def _prolong(self, session: Session, now: datetime) -> Session | None:
        later = msgspec.structs.replace(session, last_seen_at=now)
        keys = [_session_prefix(session.store_id) + session.id]
        args = [_ms(now), self._life_ms(later, now)]
        # Ended in between: then it is over, however fresh the first answer was.
        return later if await self._gateway.run(lambda _: self._renew(keys, args)) else None

    async def _end_by_id(self, store_id: int, session_id: str, *, owner: str) -> bool:
        keys, args = [_session_prefix(store_id) + session_id], [session_id, _index_prefix(store_id), owner]
        return bool(await self._gateway.run(lambda _: self._end(keys, args)))

    def _life_ms(self, session: Session, now: datetime) -> int:
        """How long Redis keeps it. A span, not a moment: the clocks of two machines differ."""
        return max(1, int(life_left(session, self._limits, now).total_seconds() * 1000))


def _session(store_id: int, session_id: str, values: Sequence[Any]) -> Session:
    customer, created, seen, ends, remember, device = (value or b"" for value in values)
    return Session(
        id=session_id,
        store_id=store_id,
        customer_id=int(customer),
        created_at=_moment(created),
        last_seen_at=_moment(seen),
        ends_at=_moment(ends),
        remember=remember == b"1",
        device=bytes(device).decode("utf-8", "replace"),
    )


def _id_of(token: str) -> str | None:
    """The digest, or None for what we cannot have issued: no need to ask anybody about that."""
    return digest(token).hex() if _TOKEN.fullmatch(token) else None


def _session_prefix(store_id: int) -> str:
    return f"session:{store_id}:"


def _index_prefix(store_id: int) -> str:
    return f"sessions:{store_id}:"


def _index(store_id: int, customer_id: int) -> str:
    return f"{_index_prefix(store_id)}{customer_id}"


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(ms: bytes | int) -> datetime:
    return datetime.fromtimestamp(int(ms) / 1000, UTC)


def _printable(device: str) -> str:
    return "".join(letter for letter in device if letter.isprintable())[:MOST_DEVICE_LETTERS]
