"""A shop that answers every call in the right form, and does nothing, must not be believed."""

import re
from typing import Any

import httpx
import pytest

from tests.contract.checks import judge
from tests.contract.scene import Shop
from tests.contract.shapes import NAME, WORDS, load_shapes, split_choices
from tests.contract.table import BASE, Row, load_expected, load_rows

VALUES = {
    "integer": 7,
    "number": 1.5,
    "string": "x",
    "boolean": False,
    "time": "2026-11-21T05:12:00Z",
    "list": [],
    "object": {},
    "null": None,
    "any": "x",
}
PROMISED = [row for row in load_rows() if row.id in load_expected()]
ROUTES = [
    (row, re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", row.path) + "$"))
    for row in sorted(load_rows(), key=lambda row: row.path.count("{"))
]


def example(expression: str) -> Any:
    """Some value of the type."""
    kind = split_choices(expression)[0].removesuffix("?")
    if kind.startswith("["):
        return [example(kind[1:-1])]
    if kind.startswith("{"):
        return {"key": example(kind[1:-1])}
    if NAME.match(kind):
        return {name.removesuffix("?"): example(inner) for name, inner in load_shapes()[kind].items()}
    if words := WORDS.match(kind):
        return words[1].split()[0]
    return VALUES[kind]


def answer_hollow(request: httpx.Request) -> httpx.Response:
    path = request.url.path.removeprefix(BASE)
    for row, pattern in ROUTES:
        if row.method == request.method and pattern.match(path):
            if row.status[0] == 204:
                return httpx.Response(204)
            body = example(row.answer)
            if row.page == "many":
                body = example("Page") | {"items": [body] * 2}
            return httpx.Response(row.status[0], json=body)
    return httpx.Response(404)


@pytest.mark.parametrize("row", PROMISED, ids=lambda row: row.id)
def test_right_forms_without_effects_are_not_believed(row: Row):
    client = httpx.Client(base_url="http://shop", transport=httpx.MockTransport(answer_hollow))
    verdict = judge(row, Shop(client))
    refusals = (*(mistake.title for mistake in row.mistakes), "without ")
    # What is left when refusals don't count: the missing effects alone must give the shop away.
    assert [finding for finding in verdict.findings if not finding.startswith(refusals)]
