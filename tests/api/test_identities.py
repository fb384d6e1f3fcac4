"""Every call, by everybody: what is another's is as if it were not there, and no answer has a word of it.

identity_table.py has each route of the storefront. A call that names a thing of customer A ("$cart") is sent by
everybody else twice, once naming A's and once naming nobody's: status, headers and body must be the same. Whoever
is not logged in here is answered like nobody at all, but that calls which guests can make say of a bearer that is
none here that it is none. Afterwards nothing of A's has changed, and A gets in.
"""

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


@pytest.mark.parametrize("asked", TABLE, ids=name_of)
async def test_what_is_anothers_is_as_if_it_were_not_there(asked: Call, new_world):
    # What has no fields has no form.
    modes = [mode for mode in MODES if asked.body or mode.endswith("JSON")]
    world = await new_world()
    before = await world.snapshot()
    faults = [fault for mode in modes for fault in await trespasses(world, asked, mode)]
    assert faults == []
    assert await world.snapshot() == before
    for mode in modes:
        answer = await world.call("customer A", mode, asked, world.theirs)
        assert answer.status_code == asked.ok, (mode, answer.text)
        assert asked.shows in answer.text, mode
        if asked.once and mode != modes[-1]:
            world = await new_world()


async def trespasses(world: World, asked: Call, mode: Mode) -> list[str]:
    """What others learn by a call that they should not."""
    faults = []
    answers = {}
    for who in OTHERS:
        unknown = world.nobodys()
        missing = answers[who] = await world.call(who, mode, asked, unknown)
        faults += [f"{who} reads {text!r}" for text in leaks(world, asked, unknown, missing)]
        if not asked.names or (asked.is_key and not who.endswith("at home")):
            continue
        theirs = await world.call(who, mode, asked, world.theirs)
        faults += [f"{who} reads {text!r} of A's" for text in leaks(world, asked, world.theirs, theirs)]
        if shape(theirs) != shape(missing) and not asked.tells:
            faults.append(f"{who} can tell: {shape(theirs)} for A's, {shape(missing)} for nobody's")
    for who in NOBODIES:
        if asked.looks and who in ENDED and mode.startswith("bearer"):
            told = answers[who].status_code, answers[who].json().get("code")
            if told != (401, "session_ended") or shape(answers[who]) != shape(answers[ENDED[0]]):
                faults.append(f"{who} is not told that their login is none: {shape(answers[who])}")
        elif shape(answers[who]) != shape(answers["nobody"]):
            faults.append(f"{who} is not nobody: {shape(answers[who])}, {shape(answers['nobody'])}")
    return [f"by {mode}: {fault}" for fault in faults]


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
