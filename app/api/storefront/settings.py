"""What a page asks before it shows a form: the rule for passwords (contract row B67), and what we see of it (B17)."""

from typing import Final

import msgspec
from litestar import Response, get

from app.api.caching import NO_STORE
from app.api.dependencies import GivenStore
from app.api.request import ShopRequest

# What logs somebody in is not read back to a page that could not see it otherwise.
HIDDEN: Final = frozenset({b"cookie", b"authorization", b"proxy-authorization"})


class PasswordSetting(msgspec.Struct, frozen=True):
    """Whether a sign-up may leave the password out; a link to set one is mailed then."""

    generate_password_for_user_automatically: bool


class SeenHeaders(msgspec.Struct, frozen=True):
    headers: dict[str, str]


@get(
    "/settings/customer-password",
    tags=["Settings"],
    operation_id="getPasswordSetting",
    summary="Whether a sign-up needs a password",
)
async def password_setting(store: GivenStore) -> PasswordSetting:
    """False where the shopper chooses the password."""
    return PasswordSetting(store.customers.password_generated)


@get("/headers", tags=["Settings"], operation_id="getHeaders", summary="The headers that arrived")
async def headers(request: ShopRequest) -> Response[SeenHeaders]:
    """The request's headers as they came here, after proxies; without those that log somebody in."""
    seen: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        if name.lower() not in HIDDEN:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            seen[key] = f"{seen[key]}, {text}" if key in seen else text
    return Response(SeenHeaders(seen), headers=NO_STORE)
