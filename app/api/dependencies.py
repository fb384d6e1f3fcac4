"""What handlers are given: the shop's parts, the store that is meant, one session, who asks, and the time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.asked import asked
from app.api.credentials import DEMANDS_LOGIN, find_actor, get_actor
from app.api.gate import STATE_KEY as GATE_KEY
from app.api.gate import Gate
from app.api.kept import KeptAnswers
from app.api.known_calls import KnownCalls
from app.api.request import ShopRequest
from app.api.transactions import REPEATABLE, is_repeatable
from app.db.reads import Reads
from app.domain.catalogue.large_shelves import LargeShelves
from app.domain.checkout.carriers import Carrier
from app.domain.discovery.popular import SearchTally
from app.domain.stores.queries import StoreConfig
from app.kit.actor import Actor
from app.kit.clock import utc_now
from app.parts import Parts

STATE_KEY: Final = "shop"


@dataclass(frozen=True, slots=True)
class Shop(Parts):
    """The parts of a running shop, made once by create_app."""

    searches: SearchTally
    kept: KeptAnswers
    calls: KnownCalls
    large_shelves: LargeShelves
    carriers: Mapping[str, Carrier]


# How handlers ask for them, by name. What we made ourselves needs no validation.
GivenShop = NamedDependency[SkipValidation[Shop]]
GivenReads = NamedDependency[SkipValidation[Reads]]
GivenStore = NamedDependency[SkipValidation[StoreConfig]]
GivenSession = NamedDependency[SkipValidation[AsyncSession]]
GivenNow = NamedDependency[SkipValidation[datetime]]
GivenGate = NamedDependency[SkipValidation[Gate]]
GivenActor = NamedDependency[SkipValidation[Actor]]


async def provide_shop(request: ShopRequest) -> Shop:
    shop: Shop = request.app.state[STATE_KEY]
    return shop


async def provide_gate(request: ShopRequest) -> Gate:
    gate: Gate = request.app.state[GATE_KEY]
    return gate


def large_shelves_of(request: ShopRequest) -> LargeShelves:
    """What this process keeps of large collections and categories."""
    shop: Shop = request.app.state[STATE_KEY]
    return shop.large_shelves


async def provide_reads(request: ShopRequest) -> Reads:
    shop: Shop = request.app.state[STATE_KEY]
    return shop.reads


async def provide_store(request: ShopRequest) -> StoreConfig:
    """The store of X-Store or of the host name. Raises NotFound store_not_found."""
    shop: Shop = request.app.state[STATE_KEY]
    headers = asked(request.scope)
    host = headers.host.decode("latin-1").partition(":")[0].lower()
    return await shop.stores.find(code=headers.store.decode("latin-1"), host=host)


async def provide_session(request: ShopRequest) -> AsyncSession:
    """One session per request, that holds nothing yet; `transactional` commits and closes it."""
    shop: Shop = request.app.state[STATE_KEY]
    return shop.sessions(info={REPEATABLE: is_repeatable(request)})


async def provide_actor(request: ShopRequest, store: GivenStore, now: GivenNow) -> Actor:
    """Who asks: without a credential a guest, and nothing is looked up."""
    return await find_actor(request, store.id, now=now)


async def provide_customer(request: ShopRequest, store: GivenStore, now: GivenNow) -> Actor:
    """Who asks, for calls that are a customer's only. Raises Unauthenticated, Unavailable and csrf_refused."""
    return await get_actor(request, store.id, now=now)


setattr(provide_customer, DEMANDS_LOGIN, True)


async def provide_now() -> datetime:
    return utc_now()


# The `dependencies` of a handler or controller that nobody enters without a login; the document says so too.
LOGIN_NEEDED: Final = {"actor": Provide(provide_customer)}


# Those that need nothing of a call but what was made before them, which wants no validation.
PLAIN: Final[frozenset[Callable[..., Any]]] = frozenset(
    {
        provide_shop,
        provide_gate,
        provide_reads,
        provide_store,
        provide_session,
        provide_actor,
        provide_customer,
        provide_now,
    }
)


def dependencies() -> dict[str, Any]:
    return {
        "shop": Provide(provide_shop),
        "gate": Provide(provide_gate),
        "reads": Provide(provide_reads),
        "store": Provide(provide_store),
        "session": Provide(provide_session),
        "now": Provide(provide_now),
        "actor": Provide(provide_actor),
    }
