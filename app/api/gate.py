"""What a login passes: how often an account's password may be guessed, by whom, and what checks it.

The limit of a route counts calls by address. This one counts wrong guesses by account, so that many addresses
together gain little, in a way that a stranger's guesses do not shut the owner out: a network has a budget of
its own at each account, and so has a device that the account was used from before.
"""

from dataclasses import dataclass
from typing import Final

from app.api.rate_limits import refusal
from app.domain.customers.passkeys import PasskeyChecker
from app.domain.customers.passwords import PasswordHasher
from app.domain.customers.providers import LoginRecords, Providers
from app.domain.customers.sessions import SessionStore
from app.kit.ids import digest
from app.kit.rates import RateCounter, in_words
from app.settings import Limit

STATE_KEY: Final = "gate"
# Names in the table of limits.
NEAR: Final = "guess"
FAR: Final = "guess_account"
CODE: Final = "guess_code"
SIGN_UP: Final = "signup"
SIGN_UP_ACCOUNT: Final = "signup_account"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A guess that was counted; `forgive` takes it back where it was right."""

    subject: str | None


class GuessLimits:
    """Wrong guesses by account. Without limits (switched off) everything passes.

    Raises Unavailable while the counts cannot be known: guessing must not get easier then.
    """

    def __init__(self, limits: tuple[Limit, ...], counter: RateCounter) -> None:
        named = {limit.name: limit for limit in limits}
        self._near = named.get(NEAR)
        self._far = named.get(FAR)
        self._code = named.get(CODE)
        self._sign_up = named.get(SIGN_UP)
        self._sign_up_account = named.get(SIGN_UP_ACCOUNT)
        self._counter = counter

    async def count(
        self, store_id: int, account: str, *, network: str, device: bytes | None = None
    ) -> Attempt:
        """Count a guess before it is looked at. `account` is any name of it, also of one that there is not.

        `device` is a device's digest, for one that the account knows. Raises HttpError rate_limited.
        """
        return await self._count(self._far, store_id, account, network=network, device=device)

    async def count_code(
        self, store_id: int, account: str, *, network: str, device: bytes | None = None
    ) -> Attempt:
        """As `count`, for mailed codes: each new one can be guessed at anew, so they have a budget of days."""
        return await self._count(self._code, store_id, account, network=network, device=device)

    async def _count(
        self, far: Limit | None, store_id: int, account: str, *, network: str, device: bytes | None
    ) -> Attempt:
        if self._near is None or far is None:
            return Attempt(None)
        name = f"{store_id}:{digest(account).hex()}"
        near = f"{far.name}:{name}:{network}" + (f":{device.hex()}" if device else "")
        await self._take(near, self._near)
        if device is None:
            await self._take(f"{far.name}:{name}", far)
        return Attempt(near)

    async def count_sign_up(self, store_id: int, account: str, *, network: str | None = None) -> None:
        """Count a sign-up by its mail address, whose answer tells whether it is taken. Raises as `count`.

        `network` for a call whose route does not count sign-ups by itself; it is the same count.
        """
        if self._sign_up is not None and network is not None:
            await self._take(f"{SIGN_UP}:{network}", self._sign_up)
        if self._sign_up_account is not None:
            subject = f"{SIGN_UP_ACCOUNT}:{store_id}:{digest(account).hex()}"
            await self._take(subject, self._sign_up_account)

    async def forgive(self, attempt: Attempt) -> None:
        """The guess was right: what this network got wrong before counts no more."""
        if attempt.subject is not None:
            await self._counter.forget(attempt.subject)

    async def _take(self, subject: str, limit: Limit) -> None:
        verdict = await self._counter.take(subject, calls=limit.calls, seconds=limit.seconds)
        if not verdict.allowed:
            when = in_words(verdict.reset)
            raise refusal(
                limit,
                verdict,
                f"Too many tries for this account; try again {when}, or ask for a link by mail.",
            )


@dataclass(frozen=True, slots=True)
class Gate:
    """The parts that a login needs beside the database, made once by create_app."""

    sessions: SessionStore
    hasher: PasswordHasher
    guesses: GuessLimits
    providers: Providers
    records: LoginRecords
    passkeys: PasskeyChecker
