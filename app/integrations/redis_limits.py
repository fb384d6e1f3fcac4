"""How calls are counted in Redis for all processes together: one script, so that nobody comes in between."""

from collections.abc import Callable
from typing import Final

from app.integrations.redis import RedisGateway
from app.kit.rates import Verdict

# The moments (ms) of the calls that passed, the newest first. It lives no longer than its youngest entry counts.
_TAKE: Final = """
local calls, window, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) <= now - window do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end
local used, allowed = redis.call('LLEN', KEYS[1]), 0
if used < calls then
  allowed, used = 1, redis.call('LPUSH', KEYS[1], now)
  redis.call('PEXPIRE', KEYS[1], window)
else
  -- More than `calls` stand here where the limit was lowered since: room comes when all but the newest have left.
  oldest = redis.call('LINDEX', KEYS[1], calls - 1)
end
return {allowed, math.max(0, calls - used), (tonumber(oldest) or now) + window - now}
"""


class RedisRateCounter:
    """Implements RateCounter. The time is Redis' own, which all machines share, unless `clock` says otherwise.

    A call that a broken connection made the gateway send twice counts twice, to the caller's disadvantage only.
    """

    def __init__(self, gateway: RedisGateway, *, clock: Callable[[], float] | None = None) -> None:
        self._gateway = gateway
        self._clock = clock
        self._take = gateway.client.register_script(_TAKE)

    async def take(self, subject: str, *, calls: int, seconds: int) -> Verdict:
        now = int(self._clock() * 1000) if self._clock else ""
        keys, args = [f"rate:{subject}"], [calls, seconds * 1000, now]
        allowed, remaining, reset = await self._gateway.run(lambda _: self._take(keys, args))
        return Verdict(bool(allowed), int(remaining), int(reset) / 1000)

    async def forget(self, subject: str) -> None:
        await self._gateway.run(lambda client: client.delete(f"rate:{subject}"))
