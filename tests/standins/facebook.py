"""Facebook's two calls, as its documentation has them: who a token is of, and that user's profile."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.canaries import MARK
from tests.standins.wire import Call, Reply, plain_server

APP_ID = "1234567890"
APP_SECRET = f"{MARK}facebook-app-secret"


def fault(code: int, **more: Any) -> Reply:
    return Reply(400, {"error": {"message": "x", "type": "OAuthException", "code": code, **more}})


@dataclass
class Facebook:
    """Faults by call (`debug_token`, `me`): a Reply, or `hang`."""

    url: str = ""
    calls: list[str] = field(default_factory=list)
    faults: dict[str, Reply | str] = field(default_factory=dict)
    _debugged: dict[str, dict[str, Any]] = field(default_factory=dict)
    _profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    _never: asyncio.Event = field(default_factory=asyncio.Event)

    def make_token(
        self, user_id: str = "4711", *, email: str | None = None, profile_id: str = "", **debugged: Any
    ) -> str:
        """A token of this app's for a user; `debugged` changes what debug_token says of it."""
        token = f"EAAB{MARK}{secrets.token_urlsafe(90)}"
        self._debugged[token] = {
            "app_id": APP_ID,
            "type": "USER",
            "is_valid": True,
            "expires_at": int(time.time()) + 3600,
            "user_id": user_id,
            "scopes": ["email", "public_profile"],
            **debugged,
        }
        profile = {"id": profile_id or user_id, "name": "Ada Berg", "first_name": "Ada", "last_name": "Berg"}
        self._profiles[token] = profile | ({"email": email} if email else {})
        return token

    async def answer(self, call: Call) -> Reply | None:
        name, asked = call.path.rpartition("/")[2], dict(call.params)
        self.calls.append(name)
        planned = self.faults.get(name)
        if planned == "hang":
            await self._never.wait()
        if isinstance(planned, Reply):
            return planned
        if name == "debug_token":
            return self._debug(asked)
        return self._profile(asked) if name == "me" else Reply(404, {"error": {"code": 2500}})

    def _debug(self, asked: dict[str, str]) -> Reply:
        if asked.get("access_token") != f"{APP_ID}|{APP_SECRET}":
            return fault(190)
        found = self._debugged.get(asked.get("input_token", ""))
        if found is None:
            return Reply(200, {"data": {"error": {"code": 190}, "is_valid": False, "scopes": []}})
        return Reply(200, {"data": found})

    def _profile(self, asked: dict[str, str]) -> Reply:
        token = asked.get("access_token", "")
        proof = hmac.new(APP_SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
        if token not in self._profiles or asked.get("appsecret_proof") != proof:
            return fault(190)
        wanted = asked.get("fields", "id,name").split(",")
        return Reply(200, {name: value for name, value in self._profiles[token].items() if name in wanted})


@asynccontextmanager
async def facebook_stand_in() -> AsyncIterator[Facebook]:
    facebook = Facebook()
    async with plain_server(facebook.answer) as facebook.url:
        yield facebook
