"""Fields that a shopper has no say in, planted into every call that writes: each is refused by name, all is as before.

The calls are those of identity_table.py, sent by customer A with A's own things, so that each would succeed.
"""

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from app.domain.customers.addresses import AddressInput
from app.main import create_app
from tests.api.hostile import FORM, JSON, SURFACE, UNSAFE, Route, routes
from tests.api.identities import API, Call, World, as_fields, filled
from tests.api.identity_table import TABLE
from tests.api.untouched import nothing_written
from tests.concurrency.tally import in_batches
from tests.shop import settings_for

FORBIDDEN: dict[str, Any] = {
    "id": 1,
    "store_id": 1,
    "customer_id": 1,
    "email_key": "eve@example.com",
    "email_verified": True,
    "email_verified_at": "2020-01-01T00:00:00Z",
    "new_email": "eve@example.com",
    "password_digest": "a digest",
    "password_changed_at": "2020-01-01T00:00:00Z",
    "has_password": False,
    "passkey_handle": "AAAA",
    "invite_token": "eve",
    "invited_by": 1,
    "referral_balance": 1_000_000,
    "balance": 1_000_000,
    "is_admin": True,
    "role": "owner",
    "group": "wholesale",
    "auth_key": "eve",
    "session_id": "eve",
    "created_at": "2020-01-01T00:00:00Z",
    "updated_at": "2020-01-01T00:00:00Z",
    "expires_at": "2099-01-01T00:00:00Z",
    "closed_at": "2020-01-01T00:00:00Z",
    "confirmed_at": "2020-01-01T00:00:00Z",
    "consent_at": "2020-01-01T00:00:00Z",
    "status": "completed",
    "state": "completed",
    "payment_status": "paid",
    "paid_at": "2020-01-01T00:00:00Z",
    "order_id": 1,
    "price": 0,
    "line_price": 0,
    "discount": 1_000_000,
    "total": 0,
    "currency": "JPY",
}
WRITES = [asked for asked in TABLE if asked.method in UNSAFE and (asked.body is not None or asked.query)]


@pytest.fixture(scope="module")
def shapes(database_url, redis_url) -> dict[str, Route]:
    """The routes that take fields, by their names in the table."""
    app = create_app(settings_for(database_url, redis_url))
    return {
        route.name.replace(API, ""): route
        for route in routes(app, methods=UNSAFE)
        if route.template.startswith(SURFACE) and route.shape is not None
    }


async def send(world: World, asked: Call, body: dict[str, Any], *, kind: str) -> tuple[int, Any]:
    """The call by A with these fields as JSON or in a form; a DELETE takes them in its body too."""
    headers = {
        "X-Store": world.store.code,
        "Authorization": f"Bearer {world.owner_key}",
        "Content-Type": kind,
    }
    headers |= filled(asked.headers, world.theirs)
    path = API + str(filled(asked.path, world.theirs))
    content = json.dumps(body) if kind == JSON else urlencode(list(as_fields(body)))
    answer = await world.client.request(asked.method, path, headers=headers, content=content)
    return answer.status_code, answer.json() if answer.content else None


def names_in(shape: Any) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(shape)}


def places(sent: dict[str, Any]) -> list[tuple[str, ...]]:
    """Where a field can be planted: at the top, and in each address that a call has."""
    return [(), *((name,) for name in sent if name.endswith("_address"))]


@pytest.fixture(scope="module")
async def world(new_world) -> World:
    """One for all calls: each test shows that nothing in it was written."""
    return await new_world()


@pytest.mark.parametrize("asked", WRITES, ids=lambda asked: f"{asked.route} {' '.join(sorted(asked.names))}")
async def test_no_field_is_assigned_that_a_shopper_has_no_say_in(asked: Call, world, sessions, shapes):
    sent = filled(asked.query if asked.body is None else asked.body, world.theirs)
    known = names_in(shapes[asked.template].shape)
    faults = []

    async def plant(within: tuple[str, ...], name: str, kind: str) -> None:
        planted = json.loads(json.dumps(sent))
        (planted[within[0]] if within else planted)[name] = FORBIDDEN[name]
        field = ".".join((*within, name))
        status, told = await send(world, asked, planted, kind=kind)
        named = [each["field"] for each in told["errors"]] if status == 422 else []
        if named != [field]:
            faults.append(f"{field} by {kind}: {status} {told}")

    tries = [
        (within, name, kind)
        for within in places(sent)
        for name in FORBIDDEN
        if name not in (names_in(AddressInput) if within else known)
        for kind in (JSON, FORM)
    ]
    async with nothing_written(sessions):
        await in_batches((plant(*one) for one in tries), size=4)
        assert faults == []
    assert len(tries) >= 60


def test_every_call_that_takes_fields_is_tried(shapes):
    assert set(shapes) - {asked.template for asked in WRITES} == set()


async def test_fields_in_the_query_of_a_call_with_a_body_assign_nothing(new_world, sessions):
    """A query is no second body: what stands there is not looked at."""
    world = await new_world()
    asked = Call("PATCH /customer", {"firstname": "Adele"}, query=FORBIDDEN)
    before = await world.snapshot()
    answer = await world.call("customer A", "bearer, JSON", asked, world.theirs)
    assert answer.status_code == 200
    after = await world.snapshot()
    assert after["/customer"] == before["/customer"] | {"firstname": "Adele"}
