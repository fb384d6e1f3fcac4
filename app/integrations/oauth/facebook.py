"""Facebook's access tokens: whether one was made for this shop's app, and whose it is.

developers.facebook.com: "Access Token Debugging" (debug_token), "Securing Graph API Requests" (the proof).
"""

import hashlib
import hmac
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from app.domain.customers.providers import VerifiedIdentity, is_subject
from app.integrations.oauth.http import ProviderHttp
from app.integrations.oauth.outcomes import away, refused

FACEBOOK_ISSUER: Final = "https://www.facebook.com"
T = TypeVar("T", bound=msgspec.Struct)

_PROVIDER: Final = "facebook"
_FIELDS: Final = "id,name,first_name,last_name,email"
# Unknown error, service away, too many calls (app, user, page), and the like: nothing about the token.
_PASSING_CODES: Final = frozenset({1, 2, 4, 17, 32, 341, 368, 613})


class _Debugged(msgspec.Struct, frozen=True):
    """What debug_token says. expires_at is in Unix seconds; 0 stands for never."""

    app_id: str | int
    is_valid: bool
    user_id: str | int
    expires_at: int = 0
    type: str = "USER"


class _Profile(msgspec.Struct, frozen=True):
    id: str
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str | None = None


class FacebookTokens:
    """Implements AccessTokenProvider.

    Facebook does not promise that the address of a profile belongs to its user, so it counts as unverified.
    """

    def __init__(self, *, app_id: str, app_secret: str, graph_url: str) -> None:
        self._app_id = app_id
        self._secret = app_secret
        self._graph = graph_url
        self._http = ProviderHttp(_PROVIDER)

    async def verify(self, token: str, *, now: datetime) -> VerifiedIdentity:
        app_token = f"{self._app_id}|{self._secret}"
        debugged = _read(
            await self._ask("/debug_token", {"input_token": token, "access_token": app_token}), _Debugged
        )
        if not debugged.is_valid or debugged.type != "USER":
            raise refused(_PROVIDER, "not a valid token of a user")
        if str(debugged.app_id) != self._app_id:
            raise refused(_PROVIDER, "made for another app")
        if debugged.expires_at and debugged.expires_at <= now.timestamp():
            raise refused(_PROVIDER, "expired")
        proof = hmac.new(self._secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        profile = _read(
            await self._ask("/me", {"fields": _FIELDS, "access_token": token, "appsecret_proof": proof}),
            _Profile,
        )
        # Two answers about one token: they must be about one person.
        if not is_subject(profile.id) or profile.id != str(debugged.user_id):
            raise refused(_PROVIDER, "the profile of somebody else")
        return VerifiedIdentity(
            issuer=FACEBOOK_ISSUER,
            subject=profile.id,
            email=profile.email or None,
            name=profile.name,
            given_name=profile.first_name,
            family_name=profile.last_name,
        )

    async def _ask(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        status, found = await self._http.get(f"{self._graph}{path}", params=params)
        fault = found.get("error")
        if isinstance(fault, dict):
            if fault.get("code") in _PASSING_CODES or fault.get("is_transient") is True:
                raise away(_PROVIDER, "an error of its own")
            raise refused(_PROVIDER, f"error {str(fault.get('code'))[:10]}")
        if status != 200:
            raise refused(_PROVIDER, f"status {status}")
        data = found.get("data") if path == "/debug_token" else found
        return data if isinstance(data, dict) else {}

    async def close(self) -> None:
        await self._http.close()


def _read(found: dict[str, Any], shape: type[T]) -> T:
    # Invalid tokens are answered without some of the fields.
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError:
        raise refused(_PROVIDER, f"not the answer of {shape.__name__.strip('_').lower()}") from None
