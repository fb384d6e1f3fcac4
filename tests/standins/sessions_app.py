"""An application with one route for each way in which a call may rest on who is asking."""

from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath

from app.api.credentials import (
    CART_COOKIE,
    SESSION_COOKIE,
    STATE_KEY,
    Door,
    cart_cookie,
    expired_cookie,
    find_actor,
    find_cart_cookie,
    find_credential,
    get_actor,
    session_cookie,
    wants_cookie,
)
from app.api.edge import create_edge
from app.api.request import ShopRequest
from app.domain.customers.sessions import SessionStore
from app.kit.clock import utc_now
from app.settings import Settings

STORE = 1


def now() -> datetime:
    return utc_now()


@get("/catalogue")
async def catalogue() -> dict[str, Any]:
    return {"items": []}


@get("/who")
async def who(request: ShopRequest) -> dict[str, Any]:
    actor = await find_actor(request, STORE, now=now())
    return {"kind": actor.kind, "customer_id": actor.customer_id, "via": actor.via}


@post("/who", status_code=200)
async def who_changes(request: ShopRequest) -> dict[str, Any]:
    actor = await find_actor(request, STORE, now=now())
    return {"kind": actor.kind, "customer_id": actor.customer_id, "via": actor.via}


@get("/mine")
async def mine(request: ShopRequest) -> dict[str, Any]:
    actor = await get_actor(request, STORE, now=now())
    return {"customer_id": actor.customer()}


@post("/cart", status_code=200)
async def cart(request: ShopRequest) -> dict[str, Any]:
    return {"cart_uuid": request.query_params.get("cart_uuid") or find_cart_cookie(request)}


@post("/login/{customer_id:int}", status_code=200)
async def login(request: ShopRequest, customer_id: FromPath[int]) -> Response[Any]:
    door: Door = request.app.state[STATE_KEY]
    before = find_credential(request)
    made = await door.sessions.start(
        STORE,
        customer_id,
        remember=True,
        device="test",
        now=now(),
        replaces=before.token if before else None,
    )
    if wants_cookie(request):
        cookies = [session_cookie(made.token, seconds=600), cart_cookie("c" * 8, seconds=60)]
        return Response({"auth_key": ""}, cookies=cookies)
    return Response({"auth_key": made.token})


@post("/logout", status_code=204)
async def logout(request: ShopRequest) -> Response[None]:
    door: Door = request.app.state[STATE_KEY]
    used = find_credential(request)
    if used is not None:
        await door.sessions.end(STORE, used.token)
    return Response(None, cookies=[expired_cookie(SESSION_COOKIE), expired_cookie(CART_COOKIE)])


def sessions_app(settings: Settings, sessions: SessionStore) -> Any:
    return create_edge(
        settings,
        route_handlers=[catalogue, who, who_changes, mine, cart, login, logout],
        checks={},
        metrics_directory=settings.data_dir,
        state=State({STATE_KEY: Door(settings, sessions)}),
    )
