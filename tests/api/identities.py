"""Who may ask, and what there is to ask for: eight identities, a customer's things, and calls that name them."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from sqlalchemy import select

from app.api.credentials import CART_COOKIE, SESSION_COOKIE
from app.db.session import Sessions, transaction
from app.domain.customers.models import Customer, Passkey
from app.domain.customers.secrets import Purpose, make_secret
from app.domain.newsletter.models import Subscription
from app.domain.payments.models import SavedMethod
from app.domain.stores.models import Store
from app.integrations.redis_sessions import RedisSessions
from app.kit.clock import utc_now
from tests.people import make_customer
from tests.shop import ADDRESS, Guest, add_order_link

API: Final = "/storefront/v1"
MISSING_ID: Final = 9_007_199_254_740_991
HOUR: Final = 3600
# What only the owner may read; each stands in something that is theirs.
FIRST, LAST, STREET, PHONE = "Zenobia", "Quillfeather", "77 Marzipan Row", "5035550177"
HOME: Final = ADDRESS | {
    "first_name": FIRST,
    "last_name": LAST,
    "address_one": STREET,
    "phone": f"+1{PHONE}",
}

Mode = Literal["bearer, JSON", "bearer, form", "cookie, JSON", "cookie, form"]
MODES: Final[tuple[Mode, ...]] = ("bearer, JSON", "bearer, form", "cookie, JSON", "cookie, form")

# Who is nobody here, whatever they carry: no call may tell these apart.
NOBODIES: Final = (
    "nobody",
    "a guest with another's cart",
    "an expired session",
    "a revoked session",
    "another store's customer",
)
# Of these, who brings a login that is none here. By bearer they are told so, all of them the same.
ENDED: Final = ("an expired session", "a revoked session", "another store's customer")
OTHERS: Final = (*NOBODIES, "customer B", "another store's customer, at home")


@dataclass
class World:
    """A store with customer A, everything that A has, and everybody else who may come."""

    client: httpx.AsyncClient
    sessions: Sessions
    logins: RedisSessions
    store: Store
    elsewhere: Store
    owner: int = 0
    owner_email: str = ""
    owner_key: str = ""
    # What is A's, by the name under which calls ask for it ("$cart").
    things: dict[str, Any] = field(default_factory=dict)
    # What there is for everybody, by name as well.
    shared: dict[str, Any] = field(default_factory=dict)
    # Logins of others whom no call of theirs can change.
    others: dict[str, str] = field(default_factory=dict)

    @property
    def theirs(self) -> dict[str, Any]:
        return self.things | self.shared

    def nobodys(self) -> dict[str, Any]:
        """Things of the same forms as A's that are not there, others each time."""
        unknown = {
            name: MISSING_ID if isinstance(thing, int) else nobodys(thing)
            for name, thing in self.things.items()
        }
        return unknown | self.shared

    async def log_in(self, store: Store, customer_id: int, *, days_ago: int = 0) -> str:
        now = utc_now() - timedelta(days=days_ago)
        made = await self.logins.start(store.id, customer_id, remember=True, device="a phone", now=now)
        return made.token

    async def come(self, who: str, *, to_read: bool) -> tuple[Store, str]:
        """The store at which somebody calls, and the login that they bring; who comes to write is new each time."""
        store = self.elsewhere if who.endswith("at home") else self.store
        if who in ("nobody", "a guest with another's cart"):
            return store, ""
        if who == "customer A":
            return store, self.owner_key
        if who in self.others and (to_read or who in ENDED):
            return store, self.others[who]
        token = self.others[who] = await self._log_in(who)
        return store, token

    async def _log_in(self, who: str) -> str:
        if who == "customer B":
            return await self.log_in(self.store, await make_customer(self.sessions, self.store))
        if who == "an expired session":
            return await self.log_in(self.store, self.owner, days_ago=400)
        if who == "a revoked session":
            token = await self.log_in(self.store, self.owner)
            await self.logins.end(self.store.id, token)
            return token
        return await self.log_in(self.elsewhere, await make_customer(self.sessions, self.elsewhere))

    async def call(self, who: str, mode: Mode, asked: "Call", named: Mapping[str, Any]) -> httpx.Response:
        """Send a call as somebody, in a mode, with these things in the places of their names."""
        store, token = await self.come(who, to_read=asked.reads)
        by_cookie, by_form = mode.startswith("cookie"), mode.endswith("form")
        headers = {"X-Store": store.code}
        cookies = []
        if by_cookie:
            headers |= {"X-Session": "cookie", "Sec-Fetch-Site": "same-origin"}
            if token:
                cookies.append(f"{SESSION_COOKIE}={token}")
            if who == "a guest with another's cart":
                cookies.append(f"{CART_COOKIE}={self.things['cart']}")
        elif token:
            headers["Authorization"] = f"Bearer {token}"
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        headers |= filled(asked.headers, named)
        path = str(filled(asked.path, named))
        body: dict[str, Any] = {}
        if asked.body is not None:
            sent = filled(asked.body, named)
            if by_form:
                body = {"content": urlencode(list(as_fields(sent)))}
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            else:
                body = {"json": sent}
        return await self.client.request(
            asked.method, API + path, headers=headers, params=filled(asked.query, named) or None, **body
        )

    async def snapshot(self) -> dict[str, Any]:
        """Everything that A can see of themselves, but for the times at which they looked."""
        seen: dict[str, Any] = {}
        headers = {"X-Store": self.store.code, "Authorization": f"Bearer {self.owner_key}"}
        for path in (
            "/customer/export",
            "/customer",
            "/cart",
            "/orders",
            "/customer/sessions",
            f"/checkout/{self.things['checkout']}",
            f"/subscriptions/{self.things['newsletter']}",
        ):
            answer = await self.client.get(API + path, headers=headers)
            assert answer.status_code == 200, (path, answer.text)
            seen[path] = _timeless(answer.json())
        return seen

    async def secret(self, purpose: Purpose) -> str:
        """A new mailed secret of A's."""
        async with transaction(self.sessions) as session:
            owner = await session.get_one(Customer, self.owner)
            return await make_secret(session, owner, purpose, now=utc_now(), seconds=HOUR)


@dataclass(frozen=True)
class Call:
    """A call of the table. `$names` in path, query, headers and body stand for things; see World.things."""

    route: str
    body: dict[str, Any] | None = None
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    # What A is answered.
    ok: int = 200
    # What A's answer must show, for calls that show what is theirs.
    shows: str = ""
    # The thing is a key: whoever has it may use it, in its own store.
    is_key: bool = False
    # A's call uses something up, so that a second one needs a new world.
    once: bool = False
    # A call of guests that goes by the login where there is one.
    looks: bool = False
    # Why its answers may tell a known thing from an unknown one.
    tells: str = ""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def reads(self) -> bool:
        return self.method == "GET"

    @property
    def changes(self) -> bool:
        """Whether A's things are others once A has made the call."""
        return not self.reads and self.ok < HTTPStatus.BAD_REQUEST

    @property
    def template(self) -> str:
        """The route as the application has it: parameters in braces."""
        return re.sub(r"\$(\w+)", lambda found: f"{{{PARAMETERS.get(found[1], found[1])}}}", self.route)

    @property
    def names(self) -> set[str]:
        told = f"{self.route} {self.query} {self.headers} {self.body}"
        return set(re.findall(r"\$(\w+)", told)) - SHARED


# Names of what there is for everybody.
SHARED: Final = {"variant", "option", "product", "collection", "category", "service", "provider"}
# How routes call what stands in their path, where they say it otherwise.
PARAMETERS: Final = {
    "address": "address_id",
    "session": "session_id",
    "passkey": "passkey_id",
    "method": "method_id",
    "checkout": "checkout_token",
    "order": "order_id",
    "newsletter": "uuid",
    "mailed_newsletter": "uuid",
    "paid_checkout": "checkout_token",
    "variant": "variant_id",
    "product": "handle",
    "collection": "handle",
    "category": "handle",
}


def filled(sent: Any, named: Mapping[str, Any]) -> Any:
    """The same with things in the place of their names; a text that is a name becomes the thing itself."""
    if isinstance(sent, dict):
        return {name: filled(value, named) for name, value in sent.items()}
    if isinstance(sent, list):
        return [filled(value, named) for value in sent]
    if isinstance(sent, str):
        if sent.startswith("$") and sent[1:] in named:
            return named[sent[1:]]
        return re.sub(r"\$(\w+)", lambda found: str(named[found[1]]), sent)
    return deepcopy(sent)


def as_fields(sent: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """A body as the fields of a form, with bracket names."""
    for name, value in sent.items():
        place = f"{within}[{name}]" if within else name
        if isinstance(value, dict):
            yield from as_fields(value, place)
        elif isinstance(value, list):
            yield from ((f"{place}[]", str(each)) for each in value)
        else:
            yield place, str(int(value)) if isinstance(value, bool) else str(value)


_CHANGING: Final = {
    "request_id", "id", "cart_uuid", "uuid", "created_at", "auth_key", "last_seen_at", "exported_at", "invite_token",
    "checkout_token", "expires_at", "login_id", "challenge", "email", "joined_at",
}  # fmt: skip


def shape(answer: httpx.Response) -> tuple[Any, ...]:
    """What two answers that tell nothing have in common: status, headers, and the body but for its request id.

    What a call that succeeded has made anew (ids, times) is left out too, and that a browser is told to forget
    a worthless cookie, which says no more than that it sent one.
    """
    body: Any = answer.text
    if answer.content and "json" in answer.headers.get("content-type", ""):
        body = _timeless(answer.json(), but=_CHANGING if answer.is_success else {"request_id"})
    told = {
        name: "" if name == "location" else value
        for name, value in answer.headers.items()
        if name not in ("date", "x-request-id", "content-length", "set-cookie")
    }
    told["set-cookie"] = sorted(
        cookie.partition("=")[0]
        for cookie in answer.headers.get_list("set-cookie")
        if "Max-Age=0" not in cookie
    )
    return answer.status_code, told, body


def _timeless(shown: Any, but: set[str] | None = None) -> Any:
    left_out = but or {"last_seen_at", "exported_at", "created_at", "expires_at"}
    if isinstance(shown, dict):
        return {name: _timeless(value, but) for name, value in shown.items() if name not in left_out}
    if isinstance(shown, list):
        return [_timeless(each, but) for each in shown]
    return shown


def leaks(world: World, asked: Call, named: Mapping[str, Any], answer: httpx.Response) -> list[str]:
    """What of A's stands in an answer, apart from what the call said itself."""
    private = [FIRST, LAST, STREET, PHONE, world.owner_email, world.owner_key]
    private += [str(world.things[name]) for name in KEYS]
    said = f"{filled(asked.path, named)} {filled(asked.query, named)} {filled(asked.body, named)}"
    shown = f"{answer.text} {answer.headers}"
    return [text for text in private if text in shown and text not in said]


# Things whose names are secrets. The uuid that the newsletter's form answers is none: whoever asks for the same
# address is answered the same, and nothing personal can be read by it (app/api/storefront/subscriptions.py).
KEYS: Final = ("cart", "checkout", "paid_checkout", "session", "mailed_newsletter")


async def make_world(
    client: httpx.AsyncClient,
    sessions: Sessions,
    logins: RedisSessions,
    stores: tuple[Store, Store],
    shared: dict[str, Any],
    *,
    password_digest: str,
) -> World:
    """Customer A with an order, an open checkout, a cart, an address, two sessions, a passkey, a saved means of
    payment and a newsletter.
    """
    store, elsewhere = stores
    world = World(client, sessions, logins, store, elsewhere, shared=shared)
    variant, option = shared["variant"], shared["option"]
    world.owner_email = f"zenobia-{uuid4().hex[:10]}@example.com"
    known: dict[str, Any] = {
        "email": world.owner_email,
        "firstname": FIRST,
        "lastname": LAST,
        "username": f"{FIRST} {LAST}",
        "password_digest": password_digest,
        "referral_balance": 0,
    }
    world.owner = await make_customer(sessions, store, **known)
    # Somebody in another store with the same address: it names the other one there.
    await make_customer(sessions, elsewhere, email=world.owner_email)
    world.owner_key = await world.log_in(store, world.owner)
    tablet = f"{FIRST}s tablet"
    second = await logins.start(store.id, world.owner, remember=True, device=tablet, now=utc_now())
    buyer = Guest(client, store, option, headers={"Authorization": f"Bearer {world.owner_key}"})
    buyer.email = world.owner_email
    checkout = await _prepare(buyer, variant, option)
    paid = await buyer.pay(checkout["totals"]["total"])
    assert paid.status_code == 204, paid.text
    order, paid_checkout = int(paid.headers["location"].rpartition("/")[2]), buyer.token
    buyer.cart_uuid = ""
    await _prepare(buyer, variant, option)
    booked = await buyer.call("POST", "/customer/addresses", HOME)
    assert booked.status_code == 200, booked.text
    newsletter = await buyer.call("POST", "/subscriptions", {"email": world.owner_email})
    assert newsletter.status_code == 200, newsletter.text
    async with transaction(sessions) as session:
        subscription = await session.scalar(
            select(Subscription).where(
                Subscription.store_id == store.id, Subscription.email_key == world.owner_email
            )
        )
        assert subscription is not None
        passkey = Passkey(
            store_id=store.id,
            customer_id=world.owner,
            credential_id=uuid4().bytes,
            public_key=b"none",
            sign_count=0,
            backed_up=False,
            name=f"{FIRST}s key",
        )
        method = SavedMethod(
            store_id=store.id,
            customer_id=world.owner,
            service="test",
            reference=f"saved_{uuid4().hex}",
            kind="card",
            brand=f"{FIRST}s bank",
            last_four="4242",
        )
        session.add_all([passkey, method])
        await session.flush()
        world.things = {
            "passkey": passkey.id,
            "method": method.id,
            "order_link": await add_order_link(session, store.id, order),
            "mailed_newsletter": str(subscription.uuid),
        }
    world.things |= {
        "address": booked.json()["id"],
        "session": second.session.id,
        "cart": buyer.cart_uuid,
        "checkout": buyer.token,
        "paid_checkout": paid_checkout,
        "order": order,
        "newsletter": newsletter.json()["uuid"],
        "email": world.owner_email,
        "reset": await world.secret("reset"),
        "link": await world.secret("link"),
        "verify": await world.secret("verify"),
    }
    return world


async def _prepare(buyer: Guest, variant: int, option: int) -> dict[str, Any]:
    added = await buyer.add(variant)
    assert added.status_code == 200, added.text
    await buyer.open_checkout()
    answer = await buyer.call(
        "PUT", f"/checkout/{buyer.token}/customer", {"email": buyer.email, "shipping_address": HOME}
    )
    assert answer.status_code == 200, answer.text
    answer = await buyer.call("PUT", f"/checkout/{buyer.token}/shipping", {"shipping_option_id": option})
    assert answer.status_code == 200, answer.text
    checkout: dict[str, Any] = answer.json()
    return checkout


def nobodys(thing: str) -> str:
    """Something of the same form that is not there."""
    if "@" in thing:
        return f"nobody-{uuid4().hex[:10]}@example.com"
    if re.fullmatch(r"[0-9a-f-]{36}", thing):
        return str(uuid4())
    if re.fullmatch(r"[0-9a-f]{64}", thing):
        return uuid4().hex * 2
    return (uuid4().hex * 2)[: len(thing)]
