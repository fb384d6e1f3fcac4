import json
from collections.abc import Callable

import httpx
import pytest

from tests.contract.checks import Verdict, check_answer, check_expectation, check_problem, judge
from tests.contract.run import broken_promises, summary
from tests.contract.scene import Scene, SetupError, Shop, flatten
from tests.contract.setups import SETUPS
from tests.contract.shapes import assert_known, check, load_shapes
from tests.contract.table import (
    Expectation,
    Mistake,
    Request,
    Row,
    left_out,
    load_expected,
    load_rows,
    read_row,
)

BLOCKS = [f"B{number:02}" for number in range(1, 91)]
UNNUMBERED = {
    "GET /customer/oauth/{provider}",
    "GET /customer/oauth/{provider}/callback",
    "POST /customer/oauth/finish",
    "POST /customer/email/verify",
    "POST /customer/login/code",
    "POST /customer/login/code/confirm",
    "POST /customer/passkeys/options",
    "POST /customer/passkeys",
    "GET /customer/passkeys",
    "DELETE /customer/passkeys/{id}",
    "POST /customer/login/passkey/options",
    "POST /customer/login/passkey",
    "PUT /cart",
    "GET /customer/payment-methods",
    "DELETE /customer/payment-methods/{id}",
    "GET /customer/addresses",
    "DELETE /customer/addresses/{id}",
    "GET /customer/sessions",
    "DELETE /customer/sessions",
    "DELETE /customer/sessions/{id}",
    "GET /customer/export",
    "DELETE /customer",
    "POST /subscriptions/confirm",
    "GET /customer/referral",
    "DELETE /cart/coupon",
    "PUT /checkout/{checkout_token}/gift-card",
    "DELETE /checkout/{checkout_token}/gift-card",
    "PUT /checkout/{checkout_token}/store-credit",
    "POST /gift-cards/balance",
    "GET /customer/store-credit",
    "POST /webhooks/stripe",
    "POST /webhooks/paypal",
    "POST /webhooks/test",
    "POST /orders/{id}/returns",
    "POST /orders/{id}/reorder",
    "GET /orders/{id}/invoice",
    "GET /products/{handle}",
    "GET /blog/posts/{slug}",
    "GET /pages",
    "GET /pages/{slug}",
}


def a_row(**changes: object) -> Row:
    return read_row({"id": "B00", "method": "GET", "path": "/thing", "answer": "Link"} | changes)


def a_shop(answer: Callable[[httpx.Request], httpx.Response]) -> Shop:
    client = httpx.Client(base_url="http://shop", transport=httpx.MockTransport(answer))
    return Shop(client, demo={"coupon": "SPRING"})


def findings(value: object, expression: str) -> list[str]:
    return [str(finding) for finding in check(value, expression)]


# --- the table ---------------------------------------------------------------------------------------


def test_every_block_is_there_exactly_once():
    assert [row.id for row in load_rows() if row.id.startswith("B")] == BLOCKS


def test_every_unnumbered_row_is_there():
    assert {row.id for row in load_rows() if not row.id.startswith("B")} == UNNUMBERED


def test_no_two_rows_are_the_same_call():
    labels = [row.label for row in load_rows()]
    assert len(labels) == len(set(labels))


def test_promised_rows_exist_once():
    expected = load_expected()
    assert len(expected) == len(set(expected))
    assert set(expected) <= {row.id for row in load_rows()}


def test_rows_stand_on_setups_that_exist():
    assert {name for row in load_rows() for name in row.given} <= set(SETUPS)


def test_every_shape_uses_known_types():
    for fields in load_shapes().values():
        for expression in fields.values():
            assert_known(expression)


def test_a_call_sends_only_documented_parameters():
    for row in load_rows():
        body_names = {p.name.split("[")[0] for p in row.parameters if p.place == "body"}
        query_names = {p.name for p in row.parameters if p.place == "query"}
        if not row.path.startswith("/webhooks/"):
            assert set(row.request.body or {}) <= body_names, row.id
        assert set(row.request.query) <= query_names, row.id
        assert set(row.request.files) <= {p.name for p in row.parameters if p.place == "file"}, row.id


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"path": "no-slash"}, "cannot read"),
        ({"method": "FETCH"}, "cannot read"),
        ({"path": "/thing/{id}"}, "path parameters"),
        ({"answer": "Nonsense"}, "unknown shape"),
        ({"answer": "intger"}, "unknown type"),
        ({"takes": {"cookie": {"a": "string"}}}, "unknown place"),
        ({"anwser": "Link"}, "unknown keys"),
        ({"expect": [{"at": "a", "equal": 1}]}, "unexpected keyword"),
    ],
)
def test_a_slip_in_the_table_is_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        a_row(**changes)


# --- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        (1, "integer"),
        (1, "number"),
        (1.5, "number"),
        (None, "integer?"),
        ({}, "Link?"),
        (None, "Link|null"),
        ([], "[Link]"),
        ([{"href": "/a"}], "[Link]"),
        ({"Color": ["Red"]}, "{[string]}"),
        ("2026-11-21T05:12:00+00:00", "time"),
        ("2026-11-21T05:12:00.123456Z", "time"),
        ("open", "string(open closed)"),
        (7, "string|integer"),
    ],
)
def test_a_right_value_has_no_findings(value, expression):
    assert findings(value, expression) == []


@pytest.mark.parametrize(
    ("value", "expression", "told"),
    [
        (True, "integer", "expected integer, got boolean true"),
        (1, "boolean", "expected boolean, got integer 1"),
        ("1", "integer", "expected integer, got string '1'"),
        (1.0, "integer", "expected integer, got number 1.0"),
        (None, "string", "expected string, got null"),
        (None, "[Link]", "expected a list, got null"),
        ({}, "[Link]", "expected a list, got an object"),
        (None, "object", "expected object, got null"),
        (None, "Link?", "expected an object, got null"),
        ([{"href": "/a"}, {}], "[Link]", "[].href: missing"),
        ({"Color": [1]}, "{[string]}", "Color[]: expected string, got integer 1"),
        ("2026-11-21 05:12:00", "time", "expected time, got string '2026-11-21 05:12:00'"),
        ("2026-11-21T05:12:00", "time", "expected time, got string '2026-11-21T05:12:00'"),
        ("shut", "string(open closed)", "string 'shut' is none of open closed"),
    ],
)
def test_a_wrong_value_is_told(value, expression, told):
    assert findings(value, expression) == [told]


def test_a_fault_shared_by_all_items_is_told_once():
    assert findings([{}] * 50, "[Link]") == ["[].href: missing"]


def test_a_field_that_may_be_missing_is_checked_where_it_is_there():
    meta = {"totalCount": 1000, "pageCount": 50, "currentPage": 1, "perPage": 20}
    assert findings(meta, "PageMeta") == []
    assert findings({**meta, "totalIsMinimum": True}, "PageMeta") == []
    assert findings({**meta, "totalIsMinimum": 1}, "PageMeta") == [
        "totalIsMinimum: expected boolean, got integer 1"
    ]


def test_a_nested_field_is_named_by_its_path():
    order = {"items": [{"variants": [{"id": "7"}]}]}
    told = [str(finding) for finding in check(order["items"], "[Product]", "items")]
    assert "items[].variants[].id: expected integer, got string '7'" in told
    assert "items[].variants[].price: missing" in told
    assert "items[].title: missing" in told


# --- answers -----------------------------------------------------------------------------------------


def test_a_success_of_another_content_type_is_told():
    response = httpx.Response(200, content=b"{}", headers={"content-type": "text/html"})
    assert [str(f) for f in check_answer(a_row(), response)] == [
        "content type text/html, documented is application/json"
    ]


def test_a_204_with_a_body_is_told():
    assert [str(f) for f in check_answer(a_row(), httpx.Response(204, content=b"{}"))] == [
        "a 204 with a body"
    ]


def test_a_page_without_links_and_meta_is_told():
    row = a_row(page="many")
    told = {str(f) for f in check_answer(row, httpx.Response(200, json={"items": [{}]}))}
    assert told == {"_links: missing", "_meta: missing", "items[].href: missing"}


def test_an_error_outside_the_problem_form_is_told():
    mistake = Mistake(Request("GET", "/thing"), 422, "validation_failed", "page=0")
    plain = httpx.Response(422, json={"detail": "no"})
    assert list(check_problem(mistake, plain)) == [
        "page=0: content type application/json, documented is application/problem+json"
    ]
    body = {"type": "a", "title": "b", "status": 400, "detail": "c", "code": "other", "request_id": "r"}
    half = httpx.Response(422, content=json.dumps(body), headers={"content-type": "application/problem+json"})
    assert list(check_problem(mistake, half)) == [
        "page=0: errors: missing",
        "page=0: status in the body is 400",
        "page=0: code 'other', documented is 'validation_failed'",
    ]


def test_a_mistake_that_is_let_through_is_told():
    mistake = Mistake(Request("GET", "/thing"), 422, "", "page=0")
    assert list(check_problem(mistake, httpx.Response(200, json={}))) == ["page=0: answers 200, expected 422"]


@pytest.mark.parametrize(
    ("expectation", "told"),
    [
        (Expectation("quantity", equals=2), []),
        (Expectation("quantity", equals=3), ["quantity: is 2, expected 3"]),
        (Expectation("quantity", equals=0), ["quantity: is 2, expected 0"]),
        (Expectation("lines.*.id", equals=8), []),
        (Expectation("lines.*.id", equals=9), ["lines.*.id: is 7, expected 9"]),
        (Expectation("lines", least=3), ["lines: 2, expected at least 3"]),
        (Expectation("lines", absent=True), ["lines: still there"]),
        (Expectation("coupon", absent=True), []),
        (Expectation("coupon", given=True), ["coupon: without a value"]),
        (Expectation("nothing", equals=1), ["nothing: not there"]),
        (Expectation("lines.1.id", contains=8), ["lines.1.id: doesn't contain 8"]),
    ],
)
def test_values_are_compared(expectation, told):
    body = {"quantity": 2, "lines": [{"id": 7}, {"id": 8}], "coupon": None}
    scene = Scene(a_shop(lambda request: httpx.Response(500)), SETUPS)
    assert [str(f) for f in check_expectation(expectation, {}, body, scene)] == told


# --- a whole row against a made-up shop --------------------------------------------------------------


def test_a_row_that_answers_as_documented_works():
    shop = a_shop(lambda request: httpx.Response(200, json={"href": "/a"}))
    assert judge(a_row(), shop) == Verdict(a_row(), ())


def test_a_row_that_is_not_built_is_told():
    shop = a_shop(lambda request: httpx.Response(404, json={"code": "not_found", "detail": "No such page."}))
    assert judge(a_row(), shop).findings == ("answers 404 not_found No such page., documented is 200",)


def test_a_shop_that_does_not_answer_is_told():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert judge(a_row(), a_shop(refuse)).findings == ("no answer: ConnectError refused",)


def test_an_effect_that_does_not_last_is_told():
    row = a_row(
        method="DELETE",
        status=204,
        answer="",
        then=[{"method": "GET", "path": "/thing", "expect": [{"at": "items", "equals": []}]}],
    )
    shop = a_shop(
        lambda request: (
            httpx.Response(204) if request.method == "DELETE" else httpx.Response(200, json={"items": [1]})
        )
    )
    assert judge(row, shop).findings == ("then GET /thing: items: is [1], expected []",)


def test_a_form_that_is_not_accepted_is_told():
    row = a_row(method="POST", takes={"body": {"a": "integer"}}, call={"body": {"a": 1}})

    def only_json(request: httpx.Request) -> httpx.Response:
        known = request.headers["content-type"] == "application/json"
        return httpx.Response(200 if known else 415, json={"href": "/a"})

    assert judge(row, a_shop(only_json)).findings == (
        "as form: answers 415, documented is 200",
        "as multipart: answers 415, documented is 200",
    )


def test_a_setup_that_fails_names_its_call():
    row = a_row(given=["cart"])
    shop = a_shop(lambda request: httpx.Response(503, json={"code": "unavailable", "detail": "Later."}))
    assert judge(row, shop).findings == ("GET /products/variants answers 503 unavailable Later., wanted 200",)


def test_a_required_parameter_is_left_out():
    row = a_row(
        method="POST", takes={"body": {"a": "integer!", "b": "integer"}}, call={"body": {"a": 1, "b": 2}}
    )
    mistake = left_out(row)
    assert mistake is not None
    assert mistake.request.body == {"b": 2}
    assert mistake.status == 422
    assert left_out(a_row()) is None


def test_values_take_the_place_of_their_names():
    scene = Scene(
        a_shop(lambda request: httpx.Response(500)), {"cart": lambda _: {"uuid": "u", "ids": [4, 5]}}
    )
    assert scene.resolve({"a": "$cart.uuid", "b": ["$cart.ids.1"], "c": "/x/${cart.uuid}"}) == {
        "a": "u",
        "b": [5],
        "c": "/x/u",
    }
    assert scene.resolve("$demo.coupon") == "SPRING"
    with pytest.raises(SetupError, match=r"the shop gave no \$cart\.nothing"):
        scene.resolve("$cart.nothing")
    with pytest.raises(SetupError, match=r"demo\.toml"):
        scene.resolve("$demo.unknown")


def test_nested_values_get_bracket_names():
    nested = {
        "a": {"b": 1},
        "ids": [1, 2],
        "on": True,
        "none": None,
        "ready[]": ["x"],
        "of": [{"c": 3}, {"c": 4}],
    }
    assert list(flatten(nested)) == [
        ("a[b]", "1"),
        ("ids[]", "1"),
        ("ids[]", "2"),
        ("on", "1"),
        ("ready[]", "x"),
        ("of[0][c]", "3"),
        ("of[1][c]", "4"),
    ]


def test_a_promise_that_was_not_judged_counts_as_broken():
    verdicts = [Verdict(a_row(), ())]
    assert broken_promises(verdicts, ["B00", "B01"]) == ["B01"]
    assert summary(verdicts, ["B00", "B01"]) == "1 of 1 rows work; 1 of the 2 promised; broken: B01"
