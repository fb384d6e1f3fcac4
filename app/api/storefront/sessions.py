"""Where a customer is logged in, and the end of it."""

import msgspec
from litestar import Controller, Response, delete, get
from litestar.openapi.datastructures import ResponseSpec

from app.api.caching import NO_STORE
from app.api.credentials import CART_COOKIE, SESSION_COOKIE, expired_cookie, forget_actor
from app.api.dependencies import LOGIN_NEEDED, GivenActor, GivenGate, GivenNow, GivenStore
from app.api.limits import PathToken
from app.api.request import ShopRequest
from app.kit.clock import isoformat
from app.kit.errors import NOT_FOUND, NotFound


class StorefrontSession(msgspec.Struct, frozen=True):
    """`id` names the session and opens nothing; `current` is the one that asks."""

    id: str
    device: str
    created_at: str
    last_seen_at: str
    current: bool


class StorefrontSessions(msgspec.Struct, frozen=True):
    items: list[StorefrontSession]


class SessionController(Controller):
    path = "/customer/sessions"
    dependencies = LOGIN_NEEDED
    tags = ("Account",)

    @get("/", operation_id="listSessions", summary="Where one is logged in")
    async def list(
        self, store: GivenStore, gate: GivenGate, now: GivenNow, actor: GivenActor
    ) -> Response[StorefrontSessions]:
        """The customer's devices, the last seen first."""
        found = await gate.sessions.list_sessions(store.id, actor.customer(), now=now)
        items = [
            StorefrontSession(
                each.id,
                each.device,
                isoformat(each.created_at),
                isoformat(each.last_seen_at),
                each.id == actor.session_id,
            )
            for each in found
        ]
        return Response(StorefrontSessions(items), headers=NO_STORE)

    @delete(
        "/",
        status_code=204,
        operation_id="endSessions",
        summary="Log out everywhere",
        responses={204: ResponseSpec(None, description="Every session has ended.")},
    )
    async def end_all(
        self, request: ShopRequest, store: GivenStore, gate: GivenGate, actor: GivenActor
    ) -> Response[None]:
        """Ends every session of the customer, this one too."""
        await gate.sessions.end_all_but(store.id, actor.customer(), None)
        return _left(request, by_cookie=actor.via == "cookie")

    @delete(
        "/{session_id:str}",
        status_code=204,
        operation_id="endSession",
        summary="Log one device out",
        responses={204: ResponseSpec(None, description="The session has ended.")},
    )
    async def end_one(
        self,
        request: ShopRequest,
        session_id: PathToken,
        store: GivenStore,
        gate: GivenGate,
        actor: GivenActor,
    ) -> Response[None]:
        """Ends one session of the customer; anybody else's is a 404."""
        if not await gate.sessions.end_one(store.id, actor.customer(), session_id):
            raise NotFound(NOT_FOUND, "There is no such session.")
        own = session_id == actor.session_id
        return _left(request, by_cookie=own and actor.via == "cookie")


def _left(request: ShopRequest, *, by_cookie: bool) -> Response[None]:
    forget_actor(request)
    gone = [expired_cookie(SESSION_COOKIE), expired_cookie(CART_COOKIE)] if by_cookie else []
    return Response(None, status_code=204, cookies=gone)
