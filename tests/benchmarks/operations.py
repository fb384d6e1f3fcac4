"""The operations that are measured, in the shapes in which shops are compared; reads also where no answer is kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import msgspec

from tests.benchmarks.wire import Connection, UnexpectedAnswer

BASE: Final = "/storefront/v1"
# What the names of reads end with that are asked of the server that keeps no answers.
UNKEPT: Final = "-unkept"
# As many answers of one variant as a server keeps beside those of lists.
SOME_VARIANTS: Final = 1000
ADDRESS: Final = {
    "first_name": "Ada",
    "last_name": "Berg",
    "address_one": "12 Mill Lane",
    "city": "Portland",
    "zip": "97201",
    "country": "United States",
    "region": "Oregon",
    "phone": "+1 503 555 0123",
}

Call = Callable[..., Awaitable[tuple[Any, bytes]]]


@dataclass(frozen=True)
class Seeded:
    """What the seeded shop has that operations ask for."""

    handles: Sequence[str]
    variants: Sequence[int]
    collections: Sequence[str]
    words: Sequence[str]
    shipping_option_id: int


@dataclass(frozen=True)
class Operation:
    """`paths` for single reads, which any load tool can send; else `steps`, one shopper's way.

    kept: asked of the server that keeps answers, else of the one that reads each from the database.
    The goals hold at 16 connections: operations per second, milliseconds of CPU and statements each, and the
    share of the ceiling; 0 where there is none.
    """

    name: str
    paths: Sequence[str] = ()
    steps: Callable[[Call, Random], Awaitable[None]] | None = None
    goal_per_second: float = 0
    goal_cpu_ms: float = 0
    goal_statements: float = 0
    goal_ratio: float = 0
    kept: bool = True


def operations(seeded: Seeded) -> list[Operation]:
    async def cart(call: Call, chance: Random) -> None:
        await _read_cart(call, await _new_cart(call, chance))

    async def checkout(call: Call, chance: Random) -> None:
        await _buy(call, await _new_cart(call, chance))

    async def _new_cart(call: Call, chance: Random) -> str:
        added = await _send(
            call, "POST", "/cart/items", {"product_id": chance.choice(seeded.variants), "quantity": 1}
        )
        return str(added["cart_uuid"])

    async def _read_cart(call: Call, cart_uuid: str) -> None:
        found = await _send(call, "GET", f"/cart?cart_uuid={cart_uuid}")
        _expect(len(found["items"]) == 1, "the cart holds one line")

    async def _buy(call: Call, cart_uuid: str) -> None:
        made = await _send(call, "POST", "/checkout", {"cart_uuid": cart_uuid})
        way = f"/checkout/{made['checkout_token']}"
        customer = {"email": "ada@example.com", "shipping_address": ADDRESS}
        await _send(call, "PUT", f"{way}/customer", customer)
        priced = await _send(
            call, "PUT", f"{way}/shipping", {"shipping_option_id": seeded.shipping_option_id}
        )
        payment = {"payment_type": "manual", "payment_token": "", "amount": priced["totals"]["total"]}
        headers, _ = await call("POST", f"{BASE}{way}/payment", msgspec.json.encode(payment), wanted=(204,))
        _expect(b"/orders/" in headers.get(b"location", b""), "an order was made")

    reads = (
        Operation(
            "list",
            paths=[f"{BASE}/collections/{handle}/products?limit=20" for handle in seeded.collections],
            goal_per_second=5000,
            goal_cpu_ms=0.35,
            goal_statements=3,
        ),
        Operation(
            "list-16",
            paths=[f"{BASE}/collections/{handle}/products" for handle in seeded.collections],
            goal_cpu_ms=0.35,
            goal_statements=3,
        ),
        Operation(
            "detail",
            paths=[f"{BASE}/products/{handle}" for handle in seeded.handles],
            goal_per_second=6000,
            goal_cpu_ms=0.3,
            goal_statements=3,
        ),
        Operation(
            "variant",
            paths=[f"{BASE}/products/variants/{variant}" for variant in seeded.variants[:SOME_VARIANTS]],
            goal_cpu_ms=0.3,
            goal_statements=3,
        ),
    )
    return [
        *(replace(read, goal_ratio=1.0) for read in reads),
        *(replace(read, name=f"{read.name}{UNKEPT}", goal_ratio=0.6, kept=False) for read in reads),
        Operation(
            "search",
            paths=[f"{BASE}/products/search?q={word}&limit=20" for word in seeded.words],
            goal_per_second=2000,
            goal_cpu_ms=0.9,
            goal_statements=3,
        ),
        Operation("cart", steps=cart, goal_per_second=600, goal_cpu_ms=2.5, goal_statements=12),
        Operation("checkout", steps=checkout, goal_per_second=200, goal_cpu_ms=8, goal_statements=45),
    ]


async def _send(call: Call, method: str, path: str, body: Any = None) -> Any:
    sent = b"" if body is None else msgspec.json.encode(body)
    _, content = await call(method, BASE + path, sent)
    return msgspec.json.decode(content)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise UnexpectedAnswer(f"expected that {what}")


async def record(
    steps: Callable[[Call, Random], Awaitable[None]], connection: Connection
) -> list[tuple[str, bytes, bytes]]:
    """One shopper's way as (method, sent, received), for the ceiling to play back."""
    seen: list[tuple[str, bytes, bytes]] = []

    async def call(
        method: str, path: str, body: bytes = b"", *, wanted: tuple[int, ...] = (200,)
    ) -> tuple[Any, bytes]:
        headers, content = await connection.call(method, path, body, wanted=wanted)
        seen.append((method, body, content))
        return headers, content

    await steps(call, Random(1))
    return seen
