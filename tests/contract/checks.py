"""Decides whether one row of the contract works: makes its calls and lists every departure from the documents."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.contract.scene import Scene, SetupError, Shop, describe, every
from tests.contract.setups import SETUPS
from tests.contract.shapes import Finding, check
from tests.contract.table import Expectation, FollowUp, Mistake, Request, Row, left_out

JSON = "application/json"
PROBLEM = "application/problem+json"
PAST_THE_END = 9_000
MAX_FINDINGS = 40


@dataclass(frozen=True)
class Verdict:
    row: Row
    findings: tuple[str, ...]

    @property
    def works(self) -> bool:
        return not self.findings


def judge(row: Row, shop: Shop) -> Verdict:
    """Never raises for what a shop answers: everything unexpected is a finding."""
    findings: list[str] = []
    try:
        for finding in _findings(row, shop):
            if finding not in findings:
                findings.append(finding)
            if len(findings) >= MAX_FINDINGS:
                break
    except SetupError as error:
        findings.append(str(error))
    except httpx.HTTPError as error:
        findings.append(f"no answer: {type(error).__name__} {error}")
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration, ValueError) as error:
        # A setup read a field that the shop's answer hasn't, or has in another form.
        findings.append(
            f"an answer that the row stands on is not as documented: {type(error).__name__} {error}"
        )
    return Verdict(row, tuple(findings))


def _findings(row: Row, shop: Shop) -> Iterator[str]:
    if row.needs:
        yield f"not called: needs {row.needs}"
        return
    for encoding in row.encodings:
        scene = Scene(shop, SETUPS)
        for name in row.given:
            scene.use(name)
        response = scene.send(row.request, encoding=encoding, base=row.base)
        found = [str(finding) for finding in _main_answer(row, response, scene)]
        found += [text for step in row.then for text in _follow_up(step, scene)] if not found else []
        # The same fault in all three encodings is one fault.
        if encoding == row.encodings[0]:
            yield from found
            if response.status_code not in row.status:
                return
        else:
            yield from (f"as {encoding}: {text}" for text in found)
    scene = Scene(shop, SETUPS)
    for name in row.given:
        scene.use(name)
    if row.page == "many":
        yield from _paging(row, scene)
    if row.expands:
        yield from _expanding(row, scene)
    if row.cached:
        yield from _caching(row, scene)
    for mistake in (*row.mistakes, *filter(None, [left_out(row)])):
        yield from check_problem(mistake, scene.send(mistake.request, base=row.base))


def _main_answer(row: Row, response: httpx.Response, scene: Scene) -> Iterator[Finding]:
    if response.status_code not in row.status:
        wanted = " or ".join(map(str, row.status))
        yield Finding("", f"answers {describe(response)}, documented is {wanted}")
        return
    yield from check_answer(row, response)
    if row.answer or row.expect:
        body = _body_of(response)
        scene.made["answer"] = body
        scene.made["headers"] = dict(response.headers)
        for expectation in row.expect:
            yield from check_expectation(expectation, {"headers": dict(response.headers)}, body, scene)


def check_answer(row: Row, response: httpx.Response) -> Iterator[Finding]:
    """Content type, form and every documented field of a successful answer."""
    if response.status_code == 204:
        if response.content:
            yield Finding("", "a 204 with a body")
        return
    media_type = response.headers.get("content-type", "").split(";")[0]
    if row.answer and media_type != row.media_type:
        yield Finding("", f"content type {media_type or 'missing'}, documented is {row.media_type}")
        return
    if not row.answer or row.media_type != JSON:
        return
    body = _body_of(response)
    if row.page == "many":
        yield from check(body, "Page")
        yield from check(body.get("items") if isinstance(body, dict) else None, f"[{row.answer}]", "items")
    else:
        yield from check(body, row.answer)


def check_expectation(
    wanted: Expectation, envelope: dict[str, Any], body: Any, scene: Scene
) -> Iterator[Finding]:
    """Values, not forms: that a line shows the quantity that was sent, that a list is not empty."""
    whole = envelope if wanted.at.startswith("headers.") else body
    values = list(_places(whole, wanted.at.split(".") if wanted.at else []))
    if wanted.absent:
        if any(value not in (None, [], {}) for value in values):
            yield Finding(wanted.at, "still there")
        return
    if not values:
        yield Finding(wanted.at, "not there")
        return
    if wanted.equals is not None:
        right = scene.resolve(wanted.equals)
        if right not in values:
            yield Finding(wanted.at, f"is {_brief(values[0])}, expected {_brief(right)}")
    if wanted.given and all(value in (None, "", [], {}) for value in values):
        yield Finding(wanted.at, "without a value")
    if wanted.least is not None:
        sizes = [len(value) if isinstance(value, list | dict | str) else value or 0 for value in values]
        if max(sizes) < wanted.least:
            yield Finding(wanted.at, f"{max(sizes)}, expected at least {wanted.least}")
    if wanted.contains is not None:
        right = scene.resolve(wanted.contains)
        if not any(_holds(value, right) for value in values):
            yield Finding(wanted.at, f"doesn't contain {_brief(right)}")


def check_problem(mistake: Mistake, response: httpx.Response) -> Iterator[str]:
    """A refusal in the documented form."""
    wanted = mistake.status if isinstance(mistake.status, tuple) else (mistake.status,)
    where = f"{mistake.title}: "
    if response.status_code not in wanted:
        yield f"{where}answers {describe(response)}, expected {' or '.join(map(str, wanted))}"
        return
    media_type = response.headers.get("content-type", "").split(";")[0]
    if media_type != PROBLEM:
        yield f"{where}content type {media_type}, documented is {PROBLEM}"
        return
    body = _body_of(response)
    form = "ValidationProblem" if response.status_code == 422 else "Problem"
    yield from (f"{where}{finding}" for finding in check(body, form))
    if isinstance(body, dict):
        if body.get("status") != response.status_code:
            yield f"{where}status in the body is {body.get('status')}"
        if mistake.code and body.get("code") != mistake.code:
            yield f"{where}code {body.get('code')!r}, documented is {mistake.code!r}"


def _follow_up(step: FollowUp, scene: Scene) -> Iterator[str]:
    found: list[str] = []
    for _ in every(step.within):
        response = scene.send(step.request)
        if response.status_code == step.status:
            body = _body_of(response) if response.content else None
            envelope = {"headers": dict(response.headers)}
            found = [
                str(finding)
                for expectation in step.expect
                for finding in check_expectation(expectation, envelope, body, scene)
            ]
        else:
            found = [f"answers {describe(response)}, expected {step.status}"]
        if not found:
            return
    yield from (f"then {step.request.method} {step.request.path}: {text}" for text in found)


def _paging(row: Row, scene: Scene) -> Iterator[str]:
    """Page size and number are honoured, the end is an empty list, too much is refused."""

    def read(**query: Any) -> httpx.Response:
        return scene.send(replace(row.request, query=row.request.query | query), base=row.base)

    names = {parameter.name for parameter in row.parameters}
    if row.page_size:
        meta = _body_of(read()).get("_meta", {})
        if meta.get("perPage") != row.page_size:
            yield f"_meta.perPage: {meta.get('perPage')}, the documented default is {row.page_size}"
    for size in ("offset", "limit", "per-page"):
        small = read(**{size: 1})
        body = _body_of(small) if small.status_code == 200 else {}
        if len(body.get("items", [])) > 1 or body.get("_meta", {}).get("perPage") != 1:
            yield f"{size}=1 gives another page size"
    if "page" in names:
        past = read(page=PAST_THE_END)
        if past.status_code != 200 or _body_of(past).get("items") != []:
            yield f"a page past the end answers {describe(past)}, documented is an empty list"
        first, second = read(offset=1), read(offset=1, page=2)
        if first.status_code == second.status_code == 200:
            total = _body_of(first).get("_meta", {}).get("totalCount") or 0
            if total > 1 and _body_of(first).get("items") == _body_of(second).get("items"):
                yield "page=2 answers the first page again"
    yield from check_problem(Mistake(row.request, 422, "", "offset=101"), read(offset=101))


def _expanding(row: Row, scene: Scene) -> Iterator[str]:
    asked = replace(row.request, query=row.request.query | {"expand": ",".join(row.expands)})
    response = scene.send(asked, base=row.base)
    if response.status_code not in row.status:
        yield f"expand={','.join(row.expands)} answers {describe(response)}"
        return
    holders = list(_places(_body_of(response), row.expands_at.split(".") if row.expands_at else []))
    if not holders:
        yield f"expand: nothing at {row.expands_at!r} to expand"
    for name, expression in row.expands.items():
        found: list[str] = []
        for holder in holders:
            if not isinstance(holder, dict) or name not in holder:
                found.append(f"expand {name}: missing")
            else:
                found += [f"expand {finding}" for finding in check(holder[name], expression, name)]
        yield from dict.fromkeys(found)


def _caching(row: Row, scene: Scene) -> Iterator[str]:
    response = scene.send(row.request, base=row.base)
    tag = response.headers.get("etag")
    if "cache-control" not in response.headers:
        yield "header Cache-Control: missing"
    if tag is None:
        yield "header ETag: missing"
        return
    again = replace(row.request, headers=row.request.headers | {"If-None-Match": tag})
    if (status := scene.send(again, base=row.base).status_code) != 304:
        yield f"If-None-Match with its own ETag answers {status}, documented is 304"


def _body_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _places(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step == "*":
            for item in value:
                yield from _places(item, rest)
        elif step.isdigit() and int(step) < len(value):
            yield from _places(value[int(step)], rest)
    elif isinstance(value, dict) and step in value:
        yield from _places(value[step], rest)


def _holds(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return str(part).lower() in value.lower()
    return isinstance(value, list | dict) and part in value


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


__all__ = ["Request", "Verdict", "check_answer", "check_expectation", "check_problem", "judge"]
