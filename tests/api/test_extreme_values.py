"""Values that types allow and nobody sends: each is taken or refused, also for a customer who is logged in."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from app.main import create_app
from tests.api.hostile import (
    BIG,
    JSON,
    UNSAFE,
    Route,
    fields_of,
    members_of,
    problem_fault,
    routes,
    with_value,
)
from tests.concurrency.tally import in_batches
from tests.people import Member, join
from tests.shop import Guest, add_variant, settings_for

# What texts are read as: numbers, days, mail addresses, uuids, countries, numbers of orders, HTML.
TEXTS = (
    "", " ", "\t\r\n", "%_\\'--", "\U0001f600" * 50, "\u0301" * 60, "İ", "\ufeff", "9" * 60, "-1", "1e309", "NaN",
    "0000-00-00", "9999-12-31", "99999-01-01", '"<b>"@[::1]', "a@" + "b" * 60 + ".com", "@", "a@xn--a.com",
    "https://[::1", "XX", "+999999999999999999", "00000000-0000-0000-0000-000000000000", "#" + "9" * 40, "x" * 4999,
)  # fmt: skip


def extremes(kind: Any) -> Iterator[Any]:
    for member in members_of(kind):
        match member:
            case inspect.StrType():
                yield from TEXTS
                if member.max_length:
                    yield "\U0001f600" * member.max_length
            case inspect.IntType():
                yield from {0, 1, -1, -BIG, BIG, member.ge or 0, member.le or BIG}
            case inspect.FloatType():
                yield from (-0.0, 1e308, 5e-324, -1e308)
            case inspect.DictType():
                yield from ({}, {"x" * 500: "y" * 500, "": [], "a": {"b": [None, True, 1.5, BIG]}})
            case inspect.ListType():
                yield from ([], [1] * 500)


@pytest.fixture(scope="module")
def writes(database_url, redis_url) -> list[Route]:
    app = create_app(settings_for(database_url, redis_url))
    return [route for route in routes(app, methods=UNSAFE) if route.shape is not None]


async def at_the_till(member: Member, sessions) -> dict[str, Any]:
    """What calls name that are right, from a cart and a checkout of the member's."""
    variant = await add_variant(sessions, member.store, on_hand=5000)
    checkout = await member.prepare(variant)
    return {
        "product_id": variant,
        "cart_uuid": member.cart_uuid,
        "checkout_token": member.token,
        "shipping_option_id": member.option_id,
        "amount": checkout["totals"]["total"],
        "payment_type": "manual",
        "service": "test",
    }


async def test_no_value_that_a_type_allows_is_a_fault_of_ours(guest: Guest, sessions, redis_url, writes):
    sent, faults = 0, []

    async def send(
        route: Route, values: dict[str, Any], headers: dict[str, str], place: Any, value: Any
    ) -> None:
        nonlocal sent
        content = with_value(route.body(values), place, value)
        answer = await guest.client.request(
            route.method, route.path(values), content=content, headers=headers
        )
        sent += 1
        if fault := problem_fault(answer, success=True):
            faults.append(f"{'.'.join(place)} = {value!r:.60} at {route.name}: {fault}")

    for route in writes:
        member = await join(guest, sessions, redis_url)
        values = await at_the_till(member, sessions)
        headers = {"Content-Type": JSON, **member.headers}
        await in_batches(
            (
                send(route, values, headers, place, value)
                for place, kind in fields_of(route)
                for value in extremes(kind)
            ),
            size=6,
        )
    assert not faults, f"{len(faults)} of {sent}:\n" + "\n".join(faults)
    assert sent > 1000
