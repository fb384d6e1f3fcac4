"""How PayPal is called: one pool of connections, a token kept until shortly before its end, and its refusals.

A token that PayPal does not take any more is fetched anew once; nothing was done under the old one. Nothing
else is repeated here: what an unanswered call means, its caller knows.
"""

import asyncio
from typing import Any, Final

import httpx2
import msgspec

from app.integrations.oauth.http import client_options
from app.integrations.paypal_shapes import Link

# A few calls end within the minute that the till gives an attempt; a call as a whole, also one that drips.
CALL_SECONDS: Final = 15.0
CONNECT_SECONDS: Final = 4.0
# A token is given up so long before its end that no call under it is still on its way then.
SPARE_SECONDS: Final = 60.0
UNAUTHORIZED: Final = 401
BUSY: Final = 429


class PayPalTroubleError(Exception):
    """There is no answer that says anything; reason is a word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PayPalRefusalError(Exception):
    """PayPal will not do it. issue is its word for why; links is where that can be mended, if anywhere."""

    def __init__(self, status: int, issue: str, links: tuple[Link, ...]) -> None:
        super().__init__(f"{status} {issue}")
        self.status = status
        self.issue = issue
        self.links = links

    @property
    def reason(self) -> str:
        return self.issue.lower()


class _Detail(msgspec.Struct, frozen=True):
    issue: str = ""


class _Fault(msgspec.Struct, frozen=True):
    name: str = ""
    details: tuple[_Detail, ...] = ()
    links: tuple[Link, ...] = ()


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


class PayPalHttp:
    """Calls of one app of PayPal's."""

    def __init__(self, *, base: str, client_id: str, client_secret: str) -> None:
        self._base = base
        self._client = httpx2.AsyncClient(
            **client_options() | {"timeout": httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)}
        )
        self._login = httpx2.BasicAuth(client_id, client_secret)
        self._token = ""
        self._ends = 0.0
        self._fetching: asyncio.Task[str] | None = None

    async def get(self, path: str) -> bytes:
        """The body of the answer. Raises PayPalRefusalError and PayPalTroubleError, as post does."""
        return await self._call("GET", path)

    async def post(self, path: str, body: bytes, *, request_id: str = "") -> bytes:
        """The body of the answer; PayPal does it once for a request id, as long as it keeps that."""
        wanted = {"Content-Type": "application/json", "Prefer": "return=representation"}
        if request_id:
            wanted["PayPal-Request-Id"] = request_id
        return await self._call("POST", path, content=body, headers=wanted)

    async def greet(self) -> None:
        """Log in. Raises PayPalTroubleError where that fails."""
        await self._log_in(worn="")

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        await self._client.aclose()

    async def _call(
        self, method: str, path: str, *, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        token = await self._log_in(worn="")
        given = headers or {}
        answer = await self._send(
            method, path, content=content, headers={**given, "Authorization": f"Bearer {token}"}
        )
        if answer.status_code == UNAUTHORIZED:
            token = await self._log_in(worn=token)
            answer = await self._send(
                method, path, content=content, headers={**given, "Authorization": f"Bearer {token}"}
            )
        if answer.is_success:
            return answer.content
        if answer.status_code in (UNAUTHORIZED, BUSY) or not 400 <= answer.status_code < 500:
            raise PayPalTroubleError(f"http_{answer.status_code}")
        raise _refusal(answer)

    async def _send(self, method: str, path: str, **given: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._client.request(method, self._base + path, **given)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as problem:
            # Their texts may hold what was sent, and so may the chain of causes.
            raise PayPalTroubleError(f"no_answer_{type(problem).__name__}") from None

    async def _log_in(self, *, worn: str) -> str:
        """A token that is not the worn one. However many want one, it is fetched once, for all of them."""
        now = asyncio.get_running_loop().time()
        if self._token not in ("", worn) and now < self._ends:
            return self._token
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_token())
            self._fetching.add_done_callback(_read_outcome)
        return await asyncio.shield(self._fetching)

    async def _fetch_token(self) -> str:
        asked = asyncio.get_running_loop().time()
        answer = await self._send(
            "POST", "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=self._login
        )
        if not answer.is_success:
            raise PayPalTroubleError(f"login_{answer.status_code}")
        try:
            given = msgspec.json.decode(answer.content, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise PayPalTroubleError("login_strange") from None
        # One that ends sooner than we would give it up is for this call only.
        self._token, self._ends = given.access_token, asked + given.expires_in - SPARE_SECONDS
        return self._token


def _read_outcome(task: "asyncio.Task[str]") -> None:
    """Where everybody who waited has gone, nobody else looks at a failure."""
    if not task.cancelled():
        task.exception()


def _refusal(answer: httpx2.Response) -> PayPalRefusalError:
    try:
        fault = msgspec.json.decode(answer.content, type=_Fault)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fault = _Fault()
    issue = next((detail.issue for detail in fault.details if detail.issue), fault.name)
    return PayPalRefusalError(answer.status_code, issue or f"http_{answer.status_code}", fault.links)
