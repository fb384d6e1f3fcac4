"""What the document says of credentials and headers is what the calls do: asked of each one, and read in its code."""

import re

import pytest

from app.api.openapi import ACCEPT_LANGUAGE, X_SESSION, document
from app.api.openapi_security import CHECKOUT_HEADER, SCHEMES
from app.main import create_app
from tests.api.reached import reached
from tests.shop import settings_for

# These can say 401, but not to what their examples send.
OTHERWISE = {
    "resetPassword": "with `current_password` and without a login",
    "logInWithFacebook": "needs Facebook set up",
    "logInWithGoogle": "needs Google set up",
}


@pytest.fixture(scope="module")
def app(database_url, redis_url):
    return create_app(settings_for(database_url, redis_url))


@pytest.fixture(scope="module")
def handlers(app):
    return {
        handler.operation_id: handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.operation_id
    }


@pytest.fixture(scope="module")
def operations(app):
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document(app)["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }


async def ask(client, store, method, path, operation):
    """The call as its example shows it, by nobody, about things that there are not."""
    integers = {
        parameter["name"]
        for parameter in operation["parameters"]
        if parameter["in"] == "path" and parameter["schema"].get("type") == "integer"
    }
    filled = re.sub(r"{(\w+)}", lambda name: "999" if name[1] in integers else "nothing", path)
    query = {
        parameter["name"]: (parameter["schema"].get("type") == "integer" and 1) or "nothing"
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and parameter.get("required")
    }
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = {"json": content["example"]} if content else {}
    answer = await client.request(method, filled, headers={"X-Store": store.code}, params=query, **body)
    client.cookies.clear()
    return answer


async def test_calls_that_name_a_login_refuse_whoever_has_none_and_no_others_do(client, guest, operations):
    said, found = {}, {}
    for name, (method, path, operation) in operations.items():
        ways = operation["security"]
        said[name] = bool(ways) and {} not in ways and not any("checkout" in way for way in ways)
        answer = await ask(client, guest.store, method, path, operation)
        found[name] = answer.status_code == 401 and answer.json()["code"] == "login_required"
    assert sum(said.values()) > 15
    assert found == said


async def test_a_refused_login_is_declared_wherever_it_is_answered(client, guest, operations):
    answered, declared = set(), set()
    for name, (method, path, operation) in operations.items():
        if "401" in operation["responses"]:
            declared.add(name)
        if (await ask(client, guest.store, method, path, operation)).status_code == 401:
            answered.add(name)
    assert answered <= declared
    assert declared - answered == OTHERWISE.keys()


async def test_calls_with_an_optional_login_say_which_and_reads_of_the_catalogue_ask_nobody(operations):
    security = {name: operation["security"] for name, (_, _, operation) in operations.items()}
    assert security["getCart"] == [{}, {"bearer": []}, {"session": []}, {"cart": []}]
    assert security["openCheckout"] == [{}, {"bearer": []}, {"session": []}]
    assert security["getOrder"] == [{"bearer": []}, {"session": []}, {"checkout": []}]
    assert security["listProducts"] == security["getVariant"] == security["searchProducts"] == []
    named = {way for ways in security.values() for choice in ways for way in choice}
    assert named == SCHEMES.keys()


@pytest.mark.parametrize(
    "header", [X_SESSION, ACCEPT_LANGUAGE, "Idempotency-Key", "If-None-Match", CHECKOUT_HEADER]
)
def test_headers_that_a_call_reads_are_among_its_parameters(header, handlers, operations):
    documented = {
        name
        for name, (_, _, operation) in operations.items()
        if any(parameter["name"] == header for parameter in operation["parameters"])
    }
    read = {name for name, handler in handlers.items() if header.lower() in reached(handler)}
    declared = {
        name
        for name, handler in handlers.items()
        for parameter in handler.parsed_fn_signature.parameters.values()
        if getattr(parameter.kwarg_definition, "name", None) == header
    }
    if header == "If-None-Match":  # pages of the catalogue read it in methods, which are not followed
        assert read <= documented
    else:
        assert read | declared == documented
    assert documented


def test_answers_that_name_an_address_declare_the_header(handlers, operations):
    documented = {
        name
        for name, (_, _, operation) in operations.items()
        if any("Location" in response.get("headers", ()) for response in operation["responses"].values())
    }
    found = {
        name
        for name, handler in handlers.items()
        if name in operations and reached(handler) & {"Location", "Redirect"}
    }
    assert documented == found
    assert {"payCheckout", "startPayment", "beginProviderLogin", "showSubscription"} <= documented
