"""The OpenAPI document of the whole shop: described, with examples that are accepted, and true of refusals."""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from app.api.openapi import EXAMPLE, QUERY, document
from app.api.openapi_shapes import FREE, bare_objects
from app.api.shapes import shape_of
from app.integrations.test_payments import COURSES
from app.main import create_app
from tests.shop import settings_for


@pytest.fixture(scope="module")
def app(database_url, redis_url):
    return create_app(settings_for(database_url, redis_url))


def operations(app):
    for path, methods in document(app)["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict):
                yield f"{method} {path}", operation


def test_every_call_has_a_name_and_says_what_it_does(app):
    for name, operation in operations(app):
        assert operation.get("operationId"), name
        assert operation.get("summary"), name
        assert operation.get("tags"), name


def test_every_json_body_has_an_example_that_its_call_accepts(app):
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]
        for _, operation in operations(app)
        if "requestBody" in operation
    }
    handlers = {
        handler.operation_id: handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
    }
    assert bodies
    for name, contents in bodies.items():
        for content in contents.values():
            assert EXAMPLE in content, name
            data = handlers[name].parsed_fn_signature.parameters.get("data")
            body = handlers[name].opt[QUERY] if data is None else data.annotation
            import msgspec

            shape_of(body).from_json(msgspec.json.encode(content[EXAMPLE]))


def test_bodies_refuse_unknown_fields_and_say_so(app):
    schemas = document(app)["components"]["schemas"]
    for name in ("AddToCart", "Pay", "CheckoutCustomer", "FindOrder"):
        found = next(schema for key, schema in schemas.items() if key.endswith(name))
        assert found["additionalProperties"] is False, name


def test_what_a_delete_reads_from_its_query_is_in_the_document(app):
    remove = dict(operations(app))["delete /storefront/v1/cart/items"]
    assert {p["name"]: p["required"] for p in remove["parameters"] if p["in"] == "query"} == {
        "product_id": True,
        "cart_uuid": True,
    }


def test_calls_that_take_an_idempotency_key_say_so_where_it_is_sent(app):
    for name, operation in operations(app):
        sent = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
        assert sent == ("Idempotency-Key" in operation.get("description", "")), name


# Answers with an auth_key are not to be had again; a repeat of the others makes nothing more.
UNKEYED = {
    "/cart/coupon": "a cart has one code, and the same one again changes nothing",
    "/cart/merge": "the second time nothing is left to move",
    "/checkout/{checkout_token}/payment/{service}/confirm": "asks, and settles once",
    "/customer/email/verify": "a secret that is good once",
    "/customer/login": "a login",
    "/customer/login/code": "only the newest code counts, and they are limited",
    "/customer/login/code/confirm": "a login",
    "/customer/login/facebook": "a login",
    "/customer/login/google": "a login",
    "/customer/login/passkey": "a login",
    "/customer/login/passkey/options": "a challenge that is good once",
    "/customer/login/reset-token": "a login",
    "/customer/login/uuid": "a login",
    "/customer/logout": "a session ends once",
    "/customer/oauth/finish": "a login",
    "/customer/passkeys/options": "a challenge that is good once",
    "/customer/password/forgot": "only the newest mail counts, and they are limited",
    "/customer/password/reset": "a login",
    "/customer/signup": "a login",
    "/gift-cards/balance": "looks only, and its code stands in no address",
    "/orders/find": "answers nothing, and is limited",
    "/orders/{order_id}/access": "a login, by a secret that is good once",
    "/subscriptions/confirm": "what is confirmed stays so",
    "/subscriptions/{uuid}/unsubscribe": "what is ended stays so",
    "/webhooks/{service}": "an event has an id of its own",
}


def test_every_post_that_makes_something_takes_an_idempotency_key(app):
    unkeyed = {
        name.removeprefix("post /storefront/v1")
        for name, operation in operations(app)
        if name.startswith("post /storefront/v1")
        and not any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
    }
    assert unkeyed == UNKEYED.keys()


def test_every_answer_that_can_be_unchanged_names_the_header_that_asks(app):
    for name, operation in operations(app):
        asked = any(parameter["name"] == "If-None-Match" for parameter in operation.get("parameters", ()))
        assert asked == ("304" in operation["responses"]), name


def test_bounds_and_booleans_of_bodies_are_described_as_they_are_taken(app):
    schemas = document(app)["components"]["schemas"]
    by_name = {key.rpartition("_")[2]: schema["properties"] for key, schema in schemas.items()}
    assert by_name["AddToCart"]["product_id"]["maximum"] == 2**63 - 1
    assert by_name["CheckoutCustomer"]["subscribe"]["enum"] == [True, False, 1, 0]
    assert "enum" not in by_name["StorefrontCheckout"]["tax_included"]


def test_the_page_of_error_codes_is_what_the_code_says():
    written = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    # In a process of its own: other tests declare codes too.
    script = "import app.main, app.worker, app.api.docs_page as o; print(o.error_codes_markdown())"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert written.strip() == made.stdout.strip()


def test_names_of_shapes_are_words_that_a_client_can_use(app):
    assert [name for name in document(app)["components"]["schemas"] if not name.isidentifier()] == []


def test_every_answer_with_content_has_a_shape_and_no_null_where_204_says_so(app):
    for name, operation in operations(app):
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values() if status.startswith("2") else ():
                assert content["schema"], (name, status)
                if "204" in operation["responses"]:
                    assert {"type": "null"} not in content["schema"].get("oneOf", ()), (name, status)
    made = dict(operations(app))["post /storefront/v1/customer/passkeys"]["responses"]["201"]
    assert made["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/StorefrontPasskey"}


def test_no_answer_has_an_object_of_which_nothing_is_said(app):
    described = document(app)
    schemas = described["components"]["schemas"]
    answers = {
        operation["operationId"]: [
            content["schema"]
            for status, response in operation["responses"].items()
            for content in response.get("content", {}).values()
        ]
        for _, operation in operations(app)
    }
    reached = set().union(*(referred(shapes, schemas) for shapes in answers.values()))
    bare = [name for name, shapes in answers.items() if [*bare_objects(shapes)]]
    fields = [
        field
        for name in reached
        for field, schema in schemas[name].get("properties", {}).items()
        if [*bare_objects(schema)]
    ]
    assert len(reached) > 60
    assert {*bare, *fields} == FREE


def referred(node, schemas):
    """The names of the shapes that this one is made of."""
    found = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            name = str(one.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            one = [value for key, value in one.items() if key not in ("example", "examples")]
        if isinstance(one, list):
            waiting.extend(one)
    return found


def test_no_shape_has_made_up_examples(app):
    schemas = document(app)["components"]["schemas"]
    assert list(found_examples({name: schemas[name] for name in schemas if name != "Problem"})) == []


def found_examples(node):
    if isinstance(node, dict):
        yield from node.get("examples", ())
        node = list(node.values())
    if isinstance(node, list):
        for entry in node:
            yield from found_examples(entry)


SUM = re.compile(r"(?:^|_)(?:price|amount|total|discount|balance|reward|refunded|tax)$")


def test_every_sum_of_money_says_that_it_is_in_minor_units(app):
    schemas = document(app)["components"]["schemas"]
    sums = {
        f"{shape}.{name}": field.get("description", "")
        for shape, schema in schemas.items()
        for name, field in schema.get("properties", {}).items()
        if SUM.search(name) and any(kind.get("type") == "integer" for kind in field.get("oneOf", [field]))
    }
    assert len(sums) > 40
    assert [name for name, said in sums.items() if "minor unit" not in said] == []
    assert "minor units" in schemas["StorefrontTotals"]["properties"]["shipping"]["description"]


def test_shares_say_basis_points_and_the_page_size_says_what_it_is(app):
    share = document(app)["components"]["schemas"]["ReferralRule"]["properties"]["share"]
    assert "basis points" in share["description"]
    for name, operation in operations(app):
        for parameter in operation["parameters"]:
            if parameter["name"] == "offset":
                assert parameter["description"].startswith("The size of a page, not where it begins"), name


def test_the_courses_of_the_test_service_are_told_in_development_only(app, database_url, redis_url):
    table = (Path(__file__).parents[2] / "docs" / "test-payments.md").read_text()
    pay = dict(operations(app))["post /storefront/v1/checkout/{checkout_token}/payment"]
    start = dict(operations(app))["post /storefront/v1/checkout/{checkout_token}/payment/{service}"]
    assert COURSES.keys() == {"ok", "decline", "second_step", "hang", "late"}
    for token, course in COURSES.items():
        assert f"- `{token}`: {course}" in pay["description"]
        assert f"`{token}`" in start["description"]
        assert f"| `{token}` | {course} |" in table
    environ = {"STOREFRONT_ENV": "production", "STOREFRONT_PUBLIC_URL": "https://shop.example"}
    production = create_app(settings_for(database_url, redis_url, **environ))
    pay = dict(operations(production))["post /storefront/v1/checkout/{checkout_token}/payment"]
    assert "`second_step`" not in pay["description"]


# Nobody can show an answer of these without a device or a service that the demo shop does not have.
WITHOUT_EXAMPLE = {"addPasskey", "askForWithdrawal", "takePaymentEvent"}
CORE = {
    "listProducts", "getProduct", "listVariants", "getVariant", "searchProducts", "getOptions", "addCartItem",
    "getCart", "setCartItem", "openCheckout", "getCheckout", "setCheckoutCustomer", "setCheckoutShipping",
    "startPayment", "payCheckout", "confirmPayment", "getOrder", "listOrders", "signUp", "logIn", "getCustomer",
}  # fmt: skip


def answer_examples(app):
    for _, operation in operations(app):
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values() if status.startswith("2") else ():
                yield operation["operationId"], content


def test_answers_show_an_example(app):
    shown = {name: "example" in content for name, content in answer_examples(app)}
    assert {name for name, shows in shown.items() if not shows} == WITHOUT_EXAMPLE
    assert {name for name, shows in shown.items() if shows} >= CORE


def test_examples_of_answers_have_the_shape_that_is_described(app):
    schemas = document(app)["components"]["schemas"]
    faults = [
        f"{name}: {fault.message} at {'/'.join(map(str, fault.instance_path))}"
        for name, content in answer_examples(app)
        if "example" in content
        for fault in jsonschema_rs.Draft202012Validator(
            content["schema"] | {"components": {"schemas": schemas}}
        ).iter_errors(content["example"])
    ]
    assert faults == []


async def test_head_answers_what_get_does_without_the_content(guest):
    got, head = await guest.call("GET", "/options"), await guest.call("HEAD", "/options")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]
    assert (await guest.call("HEAD", "/nowhere")).status_code == 404
