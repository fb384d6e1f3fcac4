"""Every call, by everybody: what is another's is as if it were not there, and no answer has a word of it.

identity_table.py has each route of the storefront. A call that names a thing of customer A ("$cart") is sent by
everybody else twice, once naming A's and once naming nobody's: status, headers and body must be the same. Whoever
is not logged in here is answered like nobody at all, but that calls which guests can make say of a bearer that is
none here that it is none. Afterwards nothing of A's has changed, and A gets in.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.main import create_app
from tests.api.hostile import SURFACE, UNSAFE, routes
from tests.api.identities import ENDED, FIRST, MODES, NOBODIES, OTHERS, Call, Mode, World, leaks, shape
from tests.api.identity_table import TABLE
from tests.shop import settings_for

# Signed by a payment service, and asked by nobody else.
OF_SERVICES = {"POST /webhooks/{service}"}


def name_of(asked: Call) -> str:
    return f"{asked.route} {' '.join(sorted(asked.names))}".strip()


@dataclass
class Kept:
    """A's world as it was made: others come and go there, and A looks."""

    world: World
    before: dict[str, Any]
    is_as_before: bool = False

    async def look(self) -> dict[str, Any]:
        after = await self.world.snapshot()
        self.is_as_before = after == self.before
        return after


@pytest.fixture(scope="module")
def all_kept() -> list[Kept]:
    return []


@pytest.fixture
async def kept(all_kept: list[Kept], new_world) -> AsyncIterator[Kept]:
    """One for all tests, until somebody has changed it."""
    if not all_kept:
        world = await new_world()
        all_kept.append(Kept(world, await world.snapshot()))
    [kept] = all_kept
    kept.is_as_before = False
    yield kept
    if not kept.is_as_before:
        all_kept.clear()


@pytest.mark.parametrize("asked", TABLE, ids=name_of)
async def test_what_is_anothers_is_as_if_it_were_not_there(asked: Call, kept: Kept, new_world):
    # What has no fields has no form.
    modes = [mode for mode in MODES if asked.body or mode.endswith("JSON")]
    faults = [fault for mode in modes for fault in await trespasses(kept.world, asked, mode)]
    assert faults == []
    worlds = itertools.repeat(kept.world)
    if asked.once:
        worlds = iter(await asyncio.gather(*(new_world() for _ in modes)))
    elif asked.changes:
        worlds = itertools.repeat(await new_world())
    for mode, world in zip(modes, worlds, strict=False):
        answer = await world.call("customer A", mode, asked, world.theirs)
        assert answer.status_code == asked.ok, (mode, answer.text)
        assert asked.shows in answer.text, mode
    assert await kept.look() == kept.before


async def trespasses(world: World, asked: Call, mode: Mode) -> list[str]:
    """What others learn by a call that they should not."""
    found = await asyncio.gather(*(trespass(world, asked, mode, who) for who in OTHERS))
    faults = [fault for faults, _ in found for fault in faults]
    answers = {who: missing for who, (_, missing) in zip(OTHERS, found, strict=True)}
    locked = answers["nobody"].status_code == 401
    for who in NOBODIES:
        if (asked.looks or locked) and who in ENDED and mode.startswith("bearer"):
            told = answers[who].status_code, answers[who].json().get("code")
            code = "session_ended" if asked.looks else answers["nobody"].json()["code"]
            if told != (401, code) or shape(answers[who]) != shape(answers[ENDED[0]]):
                faults.append(f"{who} is not told that their login is none: {shape(answers[who])}")
        elif shape(answers[who]) != shape(answers["nobody"]):
            faults.append(f"{who} is not nobody: {shape(answers[who])}, {shape(answers['nobody'])}")
    return [f"by {mode}: {fault}" for fault in faults]


async def trespass(world: World, asked: Call, mode: Mode, who: str) -> tuple[list[str], httpx.Response]:
    """What somebody learns of A's by a call, and what they are answered where it names nobody's."""
    unknown = world.nobodys()
    missing = await world.call(who, mode, asked, unknown)
    faults = [f"{who} reads {text!r}" for text in leaks(world, asked, unknown, missing)]
    if asked.names and (not asked.is_key or who.endswith("at home")):
        theirs = await world.call(who, mode, asked, world.theirs)
        faults += [f"{who} reads {text!r} of A's" for text in leaks(world, asked, world.theirs, theirs)]
        if shape(theirs) != shape(missing) and not asked.tells:
            faults.append(f"{who} can tell: {shape(theirs)} for A's, {shape(missing)} for nobody's")
    return faults, missing


def test_every_route_of_the_storefront_stands_in_the_table(database_url, redis_url):
    app = create_app(settings_for(database_url, redis_url))
    there = {
        route.name.replace("/storefront/v1", "")
        for route in routes(app, methods=UNSAFE | {"GET"})
        if route.template.startswith(SURFACE)
    }
    walked = {asked.template for asked in TABLE}
    assert there - walked == OF_SERVICES
    assert walked - there == set()


@pytest.mark.parametrize("mode", ["bearer, JSON", "cookie, JSON"])
async def test_the_identities_are_who_they_are_said_to_be(new_world, mode: Mode):
    world = await new_world()
    for who, status in [(who, 401) for who in NOBODIES] + [("customer A", 200), ("customer B", 200)]:
        answer = await world.call(who, mode, Call("GET /customer"), {})
        assert answer.status_code == status, who
        assert (FIRST in answer.text) == (who == "customer A")
