"""Answers: problems, pages, tags, parameters, headers, CORS, metrics, health and the document."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from redis import exceptions as redis_errors
from sqlalchemy import exc as sqlalchemy_errors

from app.api.client import client_address
from app.api.docs_page import error_codes_markdown
from app.api.edge import create_edge
from app.api.faults import translate
from app.api.limits import Id, refuse_lost_bounds
from app.api.metrics import may_read
from app.kit.errors import Conflict, Invalid, Unavailable, declare, declared_codes
from app.settings import Settings
from tests.api.edge_app import Dependency, edge_app
from tests.api.live import serve
from tests.api.test_edge_bodies import problem

ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def dependency() -> Dependency:
    return Dependency()


@pytest.fixture(scope="module")
async def client(tmp_path_factory, dependency) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(env="production", allowed_origins=(ORIGIN,), data_dir=tmp_path_factory.mktemp("edge"))
    async with (
        serve(edge_app(settings, dependency)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("missing", 404, "thing_missing"),
        ("conflict", 409, "total_changed"),
        ("forbidden", 403, "forbidden"),
        ("declined", 402, "payment_declined"),
        ("unavailable", 503, "unavailable"),
        ("login", 401, "login_required"),
        ("bug", 500, "internal_error"),
        ("check", 422, "validation_failed"),
        ("range", 422, "validation_failed"),
        ("unique", 409, "conflict"),
        ("deadlock", 503, "unavailable"),
        ("lock", 503, "unavailable"),
        ("statement", 503, "unavailable"),
        ("gone", 503, "unavailable"),
        ("starting", 503, "unavailable"),
        ("slow_pool", 503, "unavailable"),
    ],
)
async def test_each_kind_of_error_has_its_status_and_a_problem(client, kind, status, code):
    response = await client.get(f"/storefront/v1/fail/{kind}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == code
    assert ("retry-after" in response.headers) == (status == 503)
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert ("errors" in body) == (status == 422)


async def test_data_of_an_error_stands_beside_its_fields(client):
    assert (await client.get("/storefront/v1/fail/conflict")).json()["totals"] == {"total": 5}


async def test_an_unexpected_error_tells_nothing_and_is_logged_with_its_traceback(client, caplog, capsys):
    response = await client.get("/storefront/v1/fail/bug")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    logged = capsys.readouterr()
    assert "secret-in-the-exception" in logged.out + logged.err + caplog.text


async def test_routing_errors_have_the_envelope_of_their_surface(client):
    problem(await client.get("/storefront/v1/nowhere"), 404, "not_found")
    refused = await client.put("/storefront/v1/orders")
    problem(refused, 405, "method_not_allowed")
    assert "POST" in refused.headers["allow"]
    other = await client.get("/erp/nowhere")
    assert (other.status_code, other.json()) == (404, {"fault": "not_found"})
    assert (await client.get("/erp/fail/conflict")).json() == {"fault": "total_changed"}
    problem(await client.get("/erphan"), 404, "not_found")


@pytest.mark.parametrize("method", ["TRACE", "FOO", "CONNECTED"])
async def test_a_method_that_nobody_knows_is_405(client, method):
    problem(await client.request(method, "/storefront/v1/orders"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["0", "-1", "abc", "9223372036854775808", "9" * 5000, "1.5", "%00", "%ff"],
)
async def test_an_id_that_nothing_can_have_is_404(client, path):
    problem(await client.get(f"/storefront/v1/things/{path}"), 404, "not_found")


@pytest.mark.parametrize("path", ["a%00b", "%00"])
async def test_nul_in_a_path_is_404(client, path):
    problem(await client.get(f"/storefront/v1/named/{path}"), 404, "not_found")


@pytest.mark.parametrize("path", ["%ff", "%ed%a0%80", "a%2Fb", "%25", "%F0%9F%98%80"])
async def test_no_path_is_a_500(client, path):
    response = await client.get(f"/storefront/v1/named/{path}")
    assert response.status_code in (200, 400, 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=10001", "page"),
        ("page=99999999999999999999999999", "page"),
        ("page=x", "page"),
        ("page=", "page"),
        ("offset=0", "offset"),
        ("offset=101", "offset"),
        ("limit=101", "limit"),
        ("per-page=101", "per-page"),
        ("per-page=1&limit=2", "offset"),
        ("page=1%00", "page"),
    ],
)
async def test_a_wrong_page_is_a_422_that_names_the_parameter(client, query, field):
    problem(await client.get(f"/storefront/v1/pages?{query}"), 422, "validation_failed", field)


async def test_a_missing_or_wrong_query_value_is_named_and_unknown_names_are_ignored(client):
    problem(await client.get("/storefront/v1/search"), 422, "validation_failed", "q")
    problem(await client.get("/storefront/v1/search?q="), 422, "validation_failed", "q")
    problem(await client.get("/storefront/v1/search?q=a%00"), 422, "validation_failed", "q")
    problem(await client.get("/storefront/v1/search?q=a&expand=x"), 422, "validation_failed", "expand")
    answer = await client.get("/storefront/v1/search?q=a&expand=product,options&utm=1&utm=2")
    assert answer.json() == {"q": "a", "expand": ["options", "product"]}
    assert (await client.get("/storefront/v1/search?q=%ff")).status_code in (200, 400, 422)


@pytest.mark.parametrize("path", ["pages", "documents"])
async def test_a_page_has_items_links_and_meta_under_either_writer(client, path):
    body = (await client.get(f"/storefront/v1/{path}?offset=20&page=2&sort=a%20b")).json()
    assert [item["id"] for item in body["items"]] == list(range(21, 41))
    assert body["_meta"] == {"totalCount": 45, "pageCount": 3, "currentPage": 2, "perPage": 20}
    base = f"/storefront/v1/{path}?offset=20&sort=a%20b&page="
    assert body["_links"] == {
        "self": {"href": f"{base}2"}, "first": {"href": f"{base}1"}, "last": {"href": f"{base}3"},
        "prev": {"href": f"{base}1"}, "next": {"href": f"{base}3"},
    }  # fmt: skip
    beyond = (await client.get(f"/storefront/v1/{path}?page=100&limit=30")).json()
    assert beyond["items"] == []
    assert beyond["_meta"]["pageCount"] == 2
    assert beyond["_links"]["next"] == {"href": None}


async def test_what_a_client_puts_into_the_query_comes_back_as_a_legal_uri(client):
    address = urlsplit(str(client.base_url))
    answer = await client.get(f"http://{address.netloc}/storefront/v1/documents?x=%22%3Cb%3E")
    assert answer.json()["_links"]["self"]["href"] == "/storefront/v1/documents?x=%22%3Cb%3E&page=1"


async def test_a_known_tag_is_answered_without_the_body(client):
    first = await client.get("/storefront/v1/documents")
    assert first.headers["cache-control"].startswith("public")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = await client.get("/storefront/v1/documents", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    changed = await client.get("/storefront/v1/documents?page=2", headers={"If-None-Match": tag})
    assert changed.status_code == 200


async def test_every_answer_carries_the_security_headers(client):
    for path in ("/health", "/storefront/v1/nowhere", "/storefront/v1/fail/bug", "/storefront/v1/named/%00"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"]


async def test_a_sane_request_id_is_kept_and_another_replaced(client):
    kept = await client.get("/health", headers={"X-Request-Id": "order-12345678"})
    assert kept.headers["x-request-id"] == "order-12345678"
    for bad in ("short", "x" * 65, "line{break}", "a b c d e f g"):
        assert (await client.get("/health", headers={"X-Request-Id": bad})).headers["x-request-id"] != bad


async def test_cors_answers_allowed_origins_only_and_exactly(client):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = await client.options("/storefront/v1/orders", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["vary"] == "Origin"
    plain = await client.get("/storefront/v1/nowhere", headers={"Origin": ORIGIN})
    assert plain.headers["access-control-allow-origin"] == ORIGIN
    for origin in (
        "https://shop.example.evil.example",
        "http://shop.example",
        "null",
        "https://SHOP.example",
    ):
        for response in (
            await client.options("/storefront/v1/orders", headers=asked | {"Origin": origin}),
            await client.get("/health", headers={"Origin": origin}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]


async def test_metrics_name_route_templates_and_never_paths(client):
    await client.get("/storefront/v1/named/secret-cart-uuid")
    await client.get("/secret-elsewhere")
    await client.request("STRANGE", "/health")
    text = (await client.get("/metrics")).text
    assert 'route="/storefront/v1/named/{name}"' in text
    assert 'route="unmatched"' in text
    assert 'method="other"' in text
    assert "secret" not in text
    assert "STRANGE" not in text


async def test_metrics_count_each_request_once_and_in_its_bucket(client):
    labels = 'method="GET",route="/storefront/v1/named/{name}",status="200"'

    async def read() -> tuple[float, float, list[float]]:
        lines = (await client.get("/metrics")).text.splitlines()
        of = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if labels in line}
        buckets = [value for name, value in of.items() if "_bucket" in name]
        count, total = (
            of[f"storefront_http_request_seconds_{name}{{{labels}}}"] for name in ("count", "sum")
        )
        return count, total, buckets

    await client.get("/storefront/v1/named/first")
    before, seconds, _ = await read()
    for name in ("second", "third", "fourth"):
        await client.get(f"/storefront/v1/named/{name}")
    after, more_seconds, buckets = await read()
    assert after == before + 3
    assert more_seconds > seconds
    # Each bucket has those below it, the last one all.
    assert buckets == sorted(buckets)
    assert buckets[-1] == after


async def test_metrics_hide_from_whoever_came_through_an_unknown_proxy(client):
    problem(await client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}), 404, "not_found")


def scope(peer: str, forwarded: str = "") -> dict:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"client": (peer, 1), "headers": headers}


def test_metrics_answer_loopback_and_listed_networks_only():
    settings = Settings(
        metrics_allow=(ip_network("10.1.0.0/16"),), trusted_proxies=(ip_network("10.9.0.0/16"),)
    )
    assert may_read(scope("127.0.0.1"), settings)
    assert may_read(scope("::1"), settings)
    assert may_read(scope("10.1.2.3"), settings)
    assert not may_read(scope("10.2.2.3"), settings)
    assert may_read(scope("10.9.0.1", "10.1.2.3"), settings)
    assert not may_read(scope("10.9.0.1", "8.8.8.8"), settings)
    assert not may_read({"client": None, "headers": []}, settings)


def test_forwarded_addresses_count_only_from_trusted_proxies():
    trusted = (ip_network("10.0.0.0/8"),)
    assert client_address(scope("8.8.8.8", "1.1.1.1"), ()) == "8.8.8.8"
    assert client_address(scope("8.8.8.8", "1.1.1.1"), trusted) == "8.8.8.8"
    assert client_address(scope("10.0.0.1", "6.6.6.6, 1.1.1.1"), trusted) == "1.1.1.1"
    assert client_address(scope("10.0.0.1", "1.1.1.1, 10.0.0.2"), trusted) == "1.1.1.1"
    assert client_address(scope("10.0.0.1", "1.1.1.1, nonsense"), trusted) == "10.0.0.1"
    assert client_address(scope("10.0.0.1"), trusted) == "10.0.0.1"


async def test_health_is_about_the_process_and_ready_about_what_it_needs(client, dependency):
    assert (await client.get("/health")).json() == {"status": "ok"}
    ready = await client.get("/ready")
    assert ready.json() == {"status": "ok", "checks": {"database": "ok", "redis": "ok"}}
    for mode in ("broken", "hanging"):
        dependency.mode = mode
        response = await client.get("/ready")
        dependency.mode = "ok"
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert response.json() == {"status": "unavailable", "checks": {"database": "ok", "redis": "failed"}}
        assert "hunter2" not in response.text


async def test_the_document_says_that_unknown_fields_are_refused(client):
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert {"Order", "Address", "Line", "Photo"} <= closed
    assert "Filter" not in closed


async def test_the_document_names_body_types_problems_and_no_answer_of_litestars_own(client):
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/storefront/v1/orders"]["post"]
    assert set(operation["requestBody"]["content"]) == {
        "application/json", "application/x-www-form-urlencoded", "multipart/form-data",
    }  # fmt: skip
    for status in ("400", "413", "415", "422", "4XX"):
        _, _, name = operation["responses"][status]["$ref"].rpartition("/")
        (kind,) = document["components"]["responses"][name]["content"].items()
        assert kind[0] == "application/problem+json"
        assert kind[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert kind[1]["example"]["status"] == int(status.replace("4XX", "403"))
    assert "/metrics" not in document["paths"]
    assert "/docs" not in document["paths"]


async def test_the_docs_page_needs_nothing_from_elsewhere(client):
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon.svg"):
        assert f"/docs/assets/{name}" in page.text
        asset = await client.get(f"/docs/assets/{name}")
        assert asset.status_code == 200
        assert len(asset.content) > 100
    for nowhere in ("/docs/assets/index.html", "/docs/nowhere", "/docs/nowhere.json"):
        problem(await client.get(nowhere), 404, "not_found")


async def test_the_type_of_every_problem_leads_to_its_meaning(client):
    page = (await client.get("/docs/errors")).text
    for entry in declared_codes():
        assert f'id="{entry.code}"' in page
        assert f"| `{entry.code}` |" in error_codes_markdown()


def test_one_code_has_one_meaning():
    with pytest.raises(ValueError, match="twice"):
        declare(Conflict, "conflict", "Something else.")
    with pytest.raises(ValueError, match="snake_case"):
        declare(Conflict, "Bad-Code", "No.")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.ConnectionError("x"), Unavailable),
        (redis_errors.TimeoutError("x"), Unavailable),
        (sqlalchemy_errors.TimeoutError("pool"), Unavailable),
        (sqlalchemy_errors.DBAPIError("SELECT", {}, asyncpg.SerializationError("x")), Unavailable),
        (sqlalchemy_errors.IntegrityError("INSERT", {}, asyncpg.UniqueViolationError("x")), Conflict),
        (sqlalchemy_errors.IntegrityError("INSERT", {}, asyncpg.ForeignKeyViolationError("x")), Conflict),
        (sqlalchemy_errors.IntegrityError("INSERT", {}, asyncpg.CheckViolationError("x")), Invalid),
        (sqlalchemy_errors.DBAPIError("SELECT", {}, asyncpg.DataError("x")), Invalid),
        (sqlalchemy_errors.DBAPIError("SELECT", {}, asyncpg.CharacterNotInRepertoireError("x")), Invalid),
        (asyncpg.InterfaceError("connection is closed"), Unavailable),
        (asyncpg.AdminShutdownError("x"), Unavailable),
        (asyncpg.TooManyConnectionsError("x"), Unavailable),
        (OSError(28, "no space left"), type(None)),
        (ConnectionRefusedError(111, "refused"), Unavailable),
        (asyncpg.UndefinedColumnError("x"), type(None)),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), type(None)),
        (ValueError("bug"), type(None)),
    ],
)
def test_driver_errors_have_one_meaning_each(error, kind):
    assert isinstance(translate(error), kind)


def test_an_application_that_would_lose_bounds_does_not_start():
    @get("/x/{thing:int}")
    async def careless(thing: FromPath[Id]) -> None: ...

    @get("/y")
    async def optional(thing: FromQuery[Id | None] = None) -> None: ...

    for handler in (careless, optional):
        with pytest.raises(TypeError, match="bounds of 'thing'"):
            refuse_lost_bounds(Litestar([handler], logging_config=None))


async def test_options_and_405_name_every_method_of_the_path(client):
    path = "/storefront/v1/lines"
    assert (await client.options(path)).headers["allow"] == "DELETE, GET, OPTIONS"
    refused = await client.put(path)
    assert refused.status_code == 405
    assert refused.headers["allow"] == "DELETE, GET, OPTIONS"


async def test_handlers_are_given_what_they_ask_for_without_tasks_of_their_own(tmp_path):
    async def give_first() -> str:
        return asyncio.current_task().get_name()

    async def give_second() -> str:
        return asyncio.current_task().get_name()

    @get("/given")
    async def given(first: NamedDependency[str], second: NamedDependency[str]) -> list[str]:
        return [first, second, asyncio.current_task().get_name()]

    app = create_edge(
        Settings(data_dir=tmp_path),
        route_handlers=[given],
        checks={},
        dependencies={"first": Provide(give_first), "second": Provide(give_second)},
    )
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        tasks = (await client.get("/given")).json()
    assert len(tasks) == 3
    assert len(set(tasks)) == 1
