"""Whatever is sent, to whichever route: a 4xx in the documented form, soon, and nothing written."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Iterable
from time import perf_counter
from typing import Any

import httpx
import psutil
import pytest

from app.api import request
from app.main import create_app
from tests.api.hostile import (
    BODIES,
    FORM,
    HEADERS,
    JSON,
    MULTIPART,
    PATHS,
    QUERIES,
    STATUSES,
    UNSAFE,
    Route,
    deep,
    nothing,
    problem_fault,
    routes,
    wrong_values,
)
from tests.api.untouched import nothing_written
from tests.concurrency.tally import in_batches
from tests.conftest import make_store
from tests.shop import Guest, add_variant, open_till, settings_for

SOON = 1.0
# Calls that look at no body, or only at a customer's own, so that a stranger's is not wrong for them.
READ_NO_BODY = {
    "DELETE /storefront/v1/checkout/{checkout_token}/coupon",
    "DELETE /storefront/v1/checkout/{checkout_token}/gift-card",
    "DELETE /storefront/v1/customer",
    "POST /storefront/v1/customer/logout",
    "DELETE /storefront/v1/customer/addresses/{address_id}",
    "DELETE /storefront/v1/customer/passkeys/{passkey_id}",
    "DELETE /storefront/v1/customer/payment-methods/{method_id}",
    "DELETE /storefront/v1/customer/sessions",
    "DELETE /storefront/v1/customer/sessions/{session_id}",
    "DELETE /storefront/v1/orders/{order_id}/cancellation",
}
# Asking for the link to an order, or for the newsletter, leaves the same behind whoever the address belongs to.
ASKED_ANYWAY = ("jobs", "subscriptions")


@pytest.fixture(scope="module")
def app(database_url, redis_url):
    return create_app(settings_for(database_url, redis_url))


@pytest.fixture(scope="module")
def writes(app) -> list[Route]:
    found = routes(app, methods=UNSAFE)
    assert {route.name for route in found} >= {
        "POST /storefront/v1/cart/items",
        "DELETE /storefront/v1/cart/items",
        "POST /storefront/v1/checkout/{checkout_token}/payment",
        "POST /storefront/v1/webhooks/{service}",
    }
    return [route for route in found if route.name not in READ_NO_BODY]


@pytest.fixture(scope="module")
async def buyer(client, sessions) -> Guest:
    """Somebody one call away from an order, so that a body that slips through has an effect.

    One for all tests: each of them shows that nothing of theirs was written.
    """
    store = await make_store(sessions)
    guest = Guest(client, store, await open_till(sessions, store))
    guest.variant_id = await add_variant(sessions, guest.store)  # type: ignore[attr-defined]  # for real_values
    checkout = await guest.prepare(guest.variant_id)  # type: ignore[attr-defined]  # set above
    guest.total = checkout["totals"]["total"]  # type: ignore[attr-defined]  # for real_values
    return guest


def real_values(buyer: Any) -> dict[str, Any]:
    return nothing() | {
        "product_id": buyer.variant_id,
        "cart_uuid": buyer.cart_uuid,
        "checkout_token": buyer.token,
        "shipping_option_id": buyer.option_id,
        "amount": buyer.total,
        "payment_type": "manual",
        "service": "test",
    }


@pytest.fixture(autouse=True, scope="module")
def small_heap():
    """What thousands of other tests left in this process is no server's heap: collecting it takes a second.

    Once for the file, since to collect it takes that second here, too.
    """
    gc.collect()
    gc.freeze()


class Storm:
    """Sends to every route and collects what was wrong with the answers."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.faults: list[str] = []
        self.sent = 0

    async def send(
        self,
        label: str,
        route: Route,
        path: str,
        *,
        content: bytes = b"",
        headers: dict[str, Any] | None = None,
        success: bool = False,
        status: int | None = None,
    ) -> None:
        # Header values as bytes, which is what arrives; httpx would refuse to encode some of them.
        named = {"X-Store": self.guest.store.code.encode()} | (headers or {})
        started = perf_counter()
        answer = await self.guest.client.request(
            route.method,
            path,
            content=content,
            headers=[(name.encode(), _bytes(value)) for name, value in named.items()],
        )
        seconds = perf_counter() - started
        self.sent += 1
        fault = problem_fault(answer, success=success)
        if fault is not None:
            self.faults.append(f"{label} at {route.name}: {fault}")
        elif status not in (None, answer.status_code):
            self.faults.append(f"{label} at {route.name}: {answer.status_code}, not {status}")
        if seconds > SOON:
            self.faults.append(f"{label} at {route.name}: took {seconds:.2f} s")

    async def all(self, calls: Iterable[Awaitable[None]]) -> None:
        """Send a few at a time: while one waits for the database, another is read."""
        await in_batches(calls, size=4)

    def judge(self, least: int) -> None:
        assert not self.faults, f"{len(self.faults)} of {self.sent}:\n" + "\n".join(self.faults)
        assert self.sent >= least


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("label", BODIES)
async def test_no_write_route_takes_a_hostile_body(buyer, sessions, writes, label):
    kind, content, headers = BODIES[label]
    storm = Storm(buyer)
    async with nothing_written(sessions):
        sent = {"Content-Type": kind, **headers} if kind else headers
        await storm.all(
            storm.send(
                label,
                route,
                route.path(real_values(buyer)),
                content=content,
                headers=sent,
                status=STATUSES.get(label) if route.shape is not None else None,
            )
            for route in writes
            # Of those that need no body, none is wrong without one.
            if label != "no body" or route.example or route.shape is not None
        )
        storm.judge(8)


async def test_no_field_takes_a_value_of_another_type_or_beyond_its_bounds(buyer, sessions, writes):
    storm = Storm(buyer)
    async with nothing_written(sessions):
        values = real_values(buyer)
        await storm.all(
            storm.send(label, route, route.path(values), content=content, headers={"Content-Type": JSON})
            for route in writes
            if route.shape is not None
            for label, content in wrong_values(route, route.body(values))
        )
        storm.judge(400)


UNSTORABLE = {"NUL": b"a\0b", "broken UTF-8": b"a\xff", "long": b"x" * 200_000}


@pytest.mark.parametrize("kind", [FORM, MULTIPART])
async def test_forms_refuse_texts_that_cannot_be_stored(buyer, sessions, writes, kind):
    """Each field has one of them, and each route all: how long a field may be is tested with JSON."""
    storm, calls = Storm(buyer), []
    for route in (route for route in writes if route.shape is not None):
        values = real_values(buyer)
        body = route.body(values)
        plain = {
            name: str(value).encode() for name, value in body.items() if not isinstance(value, (dict, list))
        }
        for number, name in enumerate(body):
            for turn, (label, raw) in enumerate(UNSTORABLE.items()):
                if turn % len(body) == number or number % len(UNSTORABLE) == turn:
                    calls.append(
                        storm.send(
                            f"{name} is {label}",
                            route,
                            route.path(values),
                            content=_form(kind, plain | {name: raw}),
                            headers={"Content-Type": kind},
                        )
                    )
    async with nothing_written(sessions):
        await storm.all(calls)
        storm.judge(20)


def _form(kind: str, fields: dict[str, bytes]) -> bytes:
    if kind == FORM:
        return b"&".join(
            name.encode() + b"=" + value.replace(b"\0", b"%00") for name, value in fields.items()
        )
    head = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(head % (name.encode(), value) for name, value in fields.items()) + b"--b--\r\n"


@pytest.mark.parametrize("label", HEADERS)
async def test_no_header_makes_a_call_fail_otherwise_than_with_a_4xx(buyer, sessions, app, label):
    """The bodies are well formed and name nothing, so that headers are looked at and nothing is found."""
    storm = Storm(buyer)
    async with nothing_written(sessions, but=ASKED_ANYWAY):
        await storm.all(
            storm.send(
                label,
                route,
                route.path(nothing()),
                content=json.dumps(route.body(nothing())).encode() if route.shape else b"",
                headers=HEADERS[label] if route.method == "GET" else {"Content-Type": JSON} | HEADERS[label],
                success=True,
            )
            for route in routes(app, methods=UNSAFE | {"GET"})
        )
        storm.judge(20)


@pytest.mark.parametrize("label", QUERIES)
async def test_no_query_makes_a_call_fail_otherwise_than_with_a_4xx(buyer, sessions, app, label):
    storm = Storm(buyer)
    async with nothing_written(sessions, but=ASKED_ANYWAY):
        calls = []
        for route in routes(app, methods=UNSAFE | {"GET"}):
            values = nothing()
            has_body = route.shape is not None and route.method != "DELETE"
            calls.append(
                storm.send(
                    label,
                    route,
                    f"{route.path(values)}?{QUERIES[label]}",
                    content=json.dumps(route.body(values)).encode() if has_body else b"",
                    headers={"Content-Type": JSON} if has_body else {},
                    success=True,
                )
            )
        await storm.all(calls)
        storm.judge(20)


@pytest.mark.parametrize("label", PATHS)
async def test_a_hostile_path_is_the_address_of_nothing(buyer, sessions, app, label):
    storm = Storm(buyer)
    async with nothing_written(sessions):
        await storm.all(
            storm.send(
                f"{name}: {label}",
                route,
                route.path(real_values(buyer) | {name: PATHS[label]}),
                content=json.dumps(route.body(real_values(buyer))).encode() if route.shape else b"",
                headers={"Content-Type": JSON} if route.shape else {},
            )
            for route in routes(app, methods=UNSAFE | {"GET"})
            for name, _ in route.parameters
        )
        storm.judge(10)


@pytest.mark.parametrize("depth", [8, 100, 500, 900, 950, 980, 990, 1000, 1100])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_a_field_of_free_form_is_neither_deep_nor_long(
    buyer, sessions, writes, depth, opening, closing
):
    path = f"/storefront/v1/checkout/{buyer.token}/payment"
    [route] = [route for route in writes if route.template.endswith("/payment")]
    storm = Storm(buyer)
    async with nothing_written(sessions):
        for label, free in (("deep", deep(depth, opening, closing)), ("long", b'["%b"]' % (b"x" * 20_000))):
            body = json.dumps(route.body(real_values(buyer))).encode()[:-1]
            content = body + b', "order_additional_fields": ' + free + b"}"
            await storm.send(label, route, path, content=content, headers={"Content-Type": JSON})
        storm.judge(2)


async def test_every_call_about_money_refuses_a_field_that_comes_twice(buyer, sessions, writes):
    about_money = [route for route in writes if "/payment" in route.template and "/v1/" in route.template]
    assert [route.name for route in about_money if not route.money] == []
    storm = Storm(buyer)
    async with nothing_written(sessions):
        for route in about_money:
            values = real_values(buyer)
            for name, value in (route.body(values) or {"checkout_token": "a"}).items():
                twice = b"%b, %b: %b}" % (
                    json.dumps(route.body(values) or {name: value}).encode()[:-1],
                    json.dumps(name).encode(),
                    json.dumps(value).encode(),
                )
                pair = f"{name}={value}".encode()
                for kind, content in ((JSON, twice), (FORM, pair + b"&" + pair)):
                    await storm.send(
                        f"{name} twice",
                        route,
                        route.path(values),
                        content=content,
                        headers={"Content-Type": kind},
                    )
            path = f"{route.path(values)}?amount=1&amount=2"
            await storm.send("twice in the query", route, path, content=b"{}", headers={"Content-Type": JSON})
        storm.judge(10)


@pytest.mark.parametrize(
    ("label", "head", "sent"),
    [
        ("a body shorter than its length", "Content-Length: 500", b'{"product_id":'),
        ("a body longer than its length", "Content-Length: 2", b'[]{"product_id": 1}'),
        ("a length of words", "Content-Length: many", b"[]"),
        ("a length below zero", "Content-Length: -1", b"[]"),
        ("a length of 30 digits", "Content-Length: " + "9" * 30, b"[]"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3", b"[] "),
        ("a length and chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked", b"2\r\n[]\r\n0\r\n\r\n"),
        ("a chunk without an end", "Transfer-Encoding: chunked", b"ff\r\n{}"),
        ("a chunk of nonsense", "Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"),
        ("chunks of 20 MB", "Transfer-Encoding: chunked", b"100000\r\n%b\r\n" % (b"x" * 2**20) * 20),
        ("a header of 1 MB", "X-Long: " + "a" * 2**20, b""),
        ("a thousand headers", "\r\n".join(f"X-{n}: 1" for n in range(1000)), b""),
        ("a header without a name", ": nothing", b""),
        ("an encoding of nonsense", "Transfer-Encoding: nonsense\r\nContent-Length: 2", b"[]"),
    ],
)
async def test_a_message_that_lies_is_refused_or_its_connection_closed(
    buyer, sessions, writes, label, head, sent
):
    """HTTP itself is broken here: the server may answer in its own words, or hang up; it never waits or fails."""
    url = httpx.URL(str(buyer.client.base_url))
    faults = []

    async def tell(route: Route) -> None:
        started = perf_counter()
        status = await _raw(url, route, route.path(real_values(buyer)), buyer.store.code, head, sent)
        if status is not None and not 400 <= status < 500 and route.shape is not None:
            faults.append(f"{route.name}: {status}")
        if perf_counter() - started > 3 * SOON:
            faults.append(f"{route.name}: took {perf_counter() - started:.2f} s")

    async with nothing_written(sessions):
        await in_batches(map(tell, writes), size=4)
    assert not faults
    assert (await buyer.client.get("/health")).status_code == 200


async def test_a_body_that_stops_arriving_is_408_after_a_while(buyer, sessions, writes, monkeypatch):
    monkeypatch.setattr(request, "IDLE_SECONDS", 0.1)
    url = httpx.URL(str(buyer.client.base_url))
    async with nothing_written(sessions):
        statuses = await asyncio.gather(
            *(
                _raw(
                    url,
                    route,
                    route.path(real_values(buyer)),
                    buyer.store.code,
                    "Content-Length: 500",
                    b'{"product_id":',
                    ends=False,
                )
                for route in writes
            )
        )
    assert set(statuses) == {408}


async def _raw(
    url: httpx.URL, route: Route, path: str, store: str, head: str, sent: bytes, *, ends: bool = True
) -> int | None:
    """The status of the first answer, None for a connection that was closed without one."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(
            f"{route.method} {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: {JSON}\r\n"
            f"X-Store: {store}\r\n{head}\r\n\r\n".encode()
        )
        try:
            writer.write(sent)
            await writer.drain()
            if ends:
                writer.write_eof()
            line = await asyncio.wait_for(reader.readline(), 10)
        except (ConnectionError, OSError):
            return None
        return int(line.split()[1]) if line else None
    finally:
        writer.close()


async def test_memory_stays_bounded_under_large_and_nested_bodies(buyer, sessions, writes):
    """The process that is measured is server and client together, which only makes the figure larger."""
    heavy = ("1 MB of garbage", "1 MB of text", "100,000 lists", "a gzip bomb", "a thousand parts")
    storm = Storm(buyer)

    async def round_of_all() -> None:
        await asyncio.gather(
            *(
                storm.send(
                    label,
                    route,
                    route.path(real_values(buyer)),
                    content=BODIES[label][1],
                    headers={"Content-Type": BODIES[label][0], **BODIES[label][2]},
                )
                for route in writes
                for label in heavy
            )
        )

    await round_of_all()
    before = psutil.Process().memory_info().rss
    async with nothing_written(sessions):
        for _ in range(4):
            await round_of_all()
    grown = psutil.Process().memory_info().rss - before
    storm.faults = [
        fault for fault in storm.faults if "took" not in fault
    ]  # all at once, on a shared machine
    storm.judge(200)
    assert grown < 64 * 2**20, f"{grown / 2**20:.0f} MB more"
