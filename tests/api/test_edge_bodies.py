"""Bodies: three content types, one meaning, and a documented answer to everything else."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
import pytest

from app.api.shapes import Shape
from app.kit.errors import Invalid
from app.settings import Settings
from tests.api.edge_app import edge_app
from tests.api.live import serve

ORDERS = "/storefront/v1/orders"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def client(tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("edge"))
    async with serve(edge_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


def problem(response: httpx.Response, status: int, code: str, field: str | None = None) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"/docs/errors#{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    if status == 422:
        assert body["errors"], "a 422 names a fault"
    if field is not None:
        assert [fault["field"] for fault in body["errors"]] == [field]
    return body


async def test_json_urlencoded_and_multipart_mean_the_same(client):
    order = {
        "name": "Ann",
        "address": {"city": "Köln", "is_default": True},
        "lines": [{"id": 1, "quantity": 2}, {"id": 3, "quantity": 1}],
        "tags": ["a", "b"],
        "gift": True,
        "weight": 1.5,
    }
    fields = {
        "name": "Ann", "address[city]": "Köln", "address[is_default]": "1", "lines[0][id]": "1",
        "lines[0][quantity]": "2", "lines[1][id]": "3", "lines[1][quantity]": "1",
        "tags[]": ["a", "b"], "gift": "true", "weight": "1.5", "same": "",
    }  # fmt: skip
    multipart = [(name, (None, text)) for name, value in fields.items()
                 for text in (value if isinstance(value, list) else [value])]  # fmt: skip
    by_json = await client.post(ORDERS, json=order)
    by_form = await client.post(ORDERS, data=fields)
    by_multipart = await client.post(ORDERS, files=multipart)
    assert by_json.status_code == 200, by_json.text
    assert by_json.json() | {"same": None, "phone": None} == by_json.json()
    assert by_form.json() == by_json.json()
    assert by_multipart.json() == by_json.json()


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({}, "name", "required"),
        ({"name": ""}, "name", "too_short"),
        ({"name": "x" * 256}, "name", "too_long"),
        ({"name": 1}, "name", "wrong_type"),
        ({"name": "a", "lines": [{"id": "1"}]}, "lines[0].id", "wrong_type"),
        ({"name": "a", "lines": [{"id": 1}, {"id": 0}]}, "lines[1].id", "too_small"),
        ({"name": "a", "lines": [{"id": 2**63}]}, "lines[0].id", "too_large"),
        ({"name": "a", "lines": [{"id": 10**40}]}, "lines[0].id", "too_large"),
        ({"name": "a", "lines": [{"id": 1.0}]}, "lines[0].id", "wrong_type"),
        ({"name": "a", "lines": [{"id": 1, "quantity": 1000}]}, "lines[0].quantity", "too_large"),
        ({"name": "a", "surprise": 1}, "surprise", "unknown_field"),
        ({"name": "a", "address": {"city": "b", "zip": 1}}, "address.zip", "unknown_field"),
        ({"name": "a\0b"}, "name", "invalid_text"),
        ({"name": "a", "tags": ["b", "\0"]}, "tags[1]", "invalid_text"),
        ({"name": "a", "gift": 2}, "gift", "wrong_type"),
        ({"name": "a", "gift": "1"}, "gift", "wrong_type"),
        ({"name": "a", "weight": "1"}, "weight", "wrong_type"),
        ([], "", "wrong_type"),
    ],
)
async def test_json_is_strict_and_the_fault_names_its_field(client, body, field, fault):
    answer = problem(await client.post(ORDERS, json=body), 422, "validation_failed", field)
    assert answer["errors"][0]["code"] == fault
    assert answer["errors"][0]["message"].endswith(".")


ALL_WRONG = {
    "name": "",
    "address": {"zip": 1},
    "lines": [{"id": 1}, {"id": 0, "quantity": "2"}, {}],
    "tags": ["a", 2],
    "gift": 2,
    "surprise": 1,
}
FAULTS = {
    ("surprise", "unknown_field"),
    ("name", "too_short"),
    ("address.city", "required"),
    ("address.zip", "unknown_field"),
    ("lines[1].id", "too_small"),
    ("lines[1].quantity", "wrong_type"),
    ("lines[2].id", "required"),
    ("tags[1]", "wrong_type"),
    ("gift", "wrong_type"),
}


async def test_every_fault_of_a_body_is_named_at_once(client):
    answer = problem(await client.post(ORDERS, json=ALL_WRONG), 422, "validation_failed")
    assert {(fault["field"], fault["code"]) for fault in answer["errors"]} == FAULTS
    assert len(answer["errors"]) == len(FAULTS)


class Ticked(msgspec.Struct):
    remember: bool = False
    name: str = ""


def test_a_ticked_box_of_a_form_is_true_however_it_is_written():
    for word in ("on", "1", "true", "True"):
        assert Shape(Ticked).from_form({"remember": word, "name": "on"}) == Ticked(remember=True, name="on")
    for sent in ({}, {"remember": "0"}, {"remember": "false"}, {"remember": ""}):
        assert Shape(Ticked).from_form(sent) == Ticked()
    with pytest.raises(Invalid):
        Shape(Ticked).from_form({"remember": "perhaps"})
    with pytest.raises(Invalid):
        Shape(Ticked).from_json(b'{"remember": "on"}')


class Words(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    gender: Literal["male", "female", "other"] | msgspec.UnsetType | None = msgspec.UNSET
    birthday: date | None = None
    at: datetime | None = None
    uuid: UUID | None = None
    tags: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("a",)
    code: Annotated[str, msgspec.Meta(min_length=2)] = "ab"


def test_a_fault_says_what_would_be_right_and_nothing_of_how_it_is_read():
    sent = {
        "name": "",
        "gender": "x",
        "birthday": "3.2.1990",
        "at": "1",
        "uuid": "2",
        "tags": [],
        "code": "a",
    }
    for first, value in sent.items():
        with pytest.raises(Invalid) as refused:
            Shape(Words).from_json(msgspec.json.encode({first: value} | sent))
        assert {fault.field: fault.message for fault in refused.value.errors} == {
            "name": "Must not be empty.",
            "gender": "Must be one of: male, female, other.",
            "birthday": "Must be a date, as 1990-02-03.",
            "at": "Must be a date and time with offset, as 1990-02-03T16:05:00+01:00.",
            "uuid": "Must be a UUID.",
            "tags": "Must not be empty.",
            "code": "Must have at least 2 characters.",
        }


def test_an_empty_input_of_a_form_is_not_given_unless_it_takes_any_text():
    empty = dict.fromkeys(("gender", "birthday", "at", "uuid"), "")
    assert Shape(Words).from_form({"name": "a", **empty}) == Words(name="a")
    with pytest.raises(Invalid) as refused:
        Shape(Words).from_form({"name": "", "code": "", **empty})
    assert [fault.field for fault in refused.value.errors] == ["name", "code"]


async def test_every_fault_of_a_form_is_named_at_once(client):
    fields = {"address[zip]": "1", "lines[0][id]": "0", "lines[0][quantity]": "two", "gift": "perhaps"}
    for sent in ({"data": fields}, {"files": [(name, (None, text)) for name, text in fields.items()]}):
        answer = problem(await client.post(ORDERS, **sent), 422, "validation_failed")
        assert [(fault["field"], fault["code"]) for fault in answer["errors"]] == [
            ("name", "required"),
            ("address.city", "required"),
            ("address.zip", "unknown_field"),
            ("lines[0].id", "too_small"),
            ("lines[0].quantity", "wrong_type"),
            ("gift", "wrong_type"),
        ]


async def test_of_more_than_twenty_faults_twenty_are_named(client):
    many = {"name": "a", "lines": [{"id": 0}] * 100}
    answer = problem(await client.post(ORDERS, json=many), 422, "validation_failed")
    assert [fault["field"] for fault in answer["errors"]] == [f"lines[{index}].id" for index in range(20)]


async def test_booleans_of_json_also_take_one_and_zero_everywhere(client):
    body = {"name": "a", "gift": 1, "same": 0, "address": {"city": "b", "is_default": 1}}
    answer = (await client.post(ORDERS, json=body)).json()
    assert (answer["gift"], answer["same"], answer["address"]["is_default"]) == (True, False, True)


async def test_a_number_stays_a_number_where_numbers_are_meant(client):
    assert (await client.post(ORDERS, json={"name": "a", "phone": 1, "gift": 1})).json()["phone"] == 1


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'{"name": "a"', 400, "malformed_body"),
        (b'{"name": "\xff"}', 400, "malformed_body"),
        (b'{"name": "\\ud800"}', 400, "malformed_body"),
        (b'\xef\xbb\xbf{"name": "a"}', 400, "malformed_body"),
        (b'{"name": NaN}', 400, "malformed_body"),
        (b'{"name": "a", "x": ' + b"[" * 1500 + b"]" * 1500 + b"}", 422, "validation_failed"),
        (b"[" * 100_000, 422, "validation_failed"),
        (b'{"name": "a", "weight": 1e999}', 422, "validation_failed"),
    ],
)
async def test_broken_json_is_the_clients_fault(client, content, status, code):
    problem(await client.post(ORDERS, content=content, headers=JSON), status, code)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": ""},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
async def test_other_content_types_and_encodings_are_415(client, headers):
    problem(
        await client.post(ORDERS, content=b'{"name":"a"}', headers=headers), 415, "unsupported_media_type"
    )


async def test_a_missing_body_is_a_422_where_one_is_needed_and_fine_elsewhere(client):
    problem(await client.post(ORDERS), 422, "validation_failed", "")
    assert (await client.patch("/storefront/v1/optional")).json() == {"given": False}
    assert (await client.patch("/storefront/v1/optional", json={"name": "a"})).json() == {"given": True}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"name=a&address=b&address[city]=c", "address[city]"),
        (b"name=a&address[city]=c&address=b", "address"),
        (b"name=a&tags[][x]=c", "tags[][x]"),
        (b"name=a&tags[=c", "tags["),
        (b"name=a&=c", ""),
        (b"name=a&a[b][c][d][e][f][g]=1", "a[b][c][d][e][f][g]"),
        (b"name=a&lines[0][id]=x", "lines[0].id"),
        (b"name=a%00b", "name"),
        (b"name=a&gift=maybe", "gift"),
        (b"name=a&other=1", "other"),
    ],
)
async def test_forms_are_lenient_in_types_but_not_in_names(client, content, field):
    problem(await client.post(ORDERS, content=content, headers=FORM), 422, "validation_failed", field)


async def test_a_form_with_broken_utf8_is_400_and_with_too_many_fields_413(client):
    problem(await client.post(ORDERS, content=b"name=%ff", headers=FORM), 400, "malformed_body")
    crowd = b"&".join(b"a%d=1" % number for number in range(1001))
    problem(await client.post(ORDERS, content=crowd, headers=FORM), 413, "body_too_large")


async def test_files_arrive_with_their_fields_and_keep_one_fingerprint(client):
    files = [("files[]", ("a.png", b"x" * 2_000_000, "image/png")), ("files[]", ("b.png", b"y", "image/png"))]
    first = await client.post("/storefront/v1/photos", data={"title": "t"}, files=files)
    second = await client.post("/storefront/v1/photos", data={"title": "t"}, files=files)
    other = await client.post("/storefront/v1/photos", data={"title": "u"}, files=files)
    assert first.json()["files"] == [["a.png", 2_000_000], ["b.png", 1]]
    assert first.json()["fingerprint"] == second.json()["fingerprint"] != other.json()["fingerprint"]


async def test_a_single_file_without_brackets_is_a_list_of_one_and_an_empty_input_is_none(client):
    one = await client.post("/storefront/v1/photos", data={"title": "t"}, files={"files": ("a.png", b"x")})
    assert one.json()["files"] == [["a.png", 1]]
    body = (
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nt\r\n'
        b'--b\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post("/storefront/v1/photos", content=body, headers=headers)
    assert answer.json()["files"] == []


async def test_a_text_is_no_file_and_a_file_is_no_text(client):
    problem(await client.post("/storefront/v1/photos", json={"title": "t", "files": ["x"]}), 422,
            "validation_failed", "files[0]")  # fmt: skip
    problem(await client.post(ORDERS, files={"name": ("a.txt", b"x")}), 422, "validation_failed", "name")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nunfinished',
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"nothing of the kind",
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\r\n--b--\r\n',
    ],
)
async def test_broken_multipart_is_400(client, body):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    problem(await client.post(ORDERS, content=body, headers=headers), 400, "malformed_body")


async def test_multipart_without_boundary_is_400(client):
    problem(
        await client.post(ORDERS, content=b"x", headers={"Content-Type": "multipart/form-data"}),
        400, "malformed_body",
    )  # fmt: skip


async def test_a_thousand_parts_and_an_oversized_file_are_413(client):
    crowd = [(f"f{number}", (None, "1")) for number in range(1000)]
    problem(await client.post(ORDERS, files=crowd), 413, "body_too_large")
    big = {"files": ("big.bin", b"x" * (10 * 1024 * 1024 + 1))}
    problem(await client.post("/storefront/v1/photos", data={"title": "t"}, files=big), 413, "body_too_large")
    just = {"files": ("ok.bin", b"x" * (10 * 1024 * 1024))}
    assert (await client.post("/storefront/v1/photos", data={"title": "t"}, files=just)).status_code == 200


async def test_a_route_without_files_reads_no_more_than_a_form_may_have(client):
    big = {"name": ("a.bin", b"x" * 300_000)}
    problem(await client.post(ORDERS, files=big), 413, "body_too_large")


async def test_a_body_over_the_limit_is_413_with_and_without_content_length(client):
    long = json.dumps({"name": "a", "tags": ["x" * 300_000]}).encode()
    problem(await client.post(ORDERS, content=long, headers=JSON), 413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 65_536

    problem(await client.post(ORDERS, content=pieces(), headers=JSON), 413, "body_too_large")
    problem(await client.post("/storefront/v1/raw", content=pieces()), 413, "body_too_large")


@pytest.mark.parametrize("length", [b"100", b"99999999999999999999"])
async def test_a_lying_length_ends_as_a_4xx_or_a_clean_close(client, length):
    address = urlsplit(str(client.base_url))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        b"POST /storefront/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: " + length + b'\r\n\r\n{"name":"a"}'
    )
    await writer.drain()
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert (await client.post(ORDERS, json={"name": "still here"})).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "query"),
    [
        (b'{"id": 1, "id": 2}', JSON, ""),
        (b"id=1&id=2", FORM, ""),
        (b'{"id": 1}', JSON, "?a=1&a=2"),
    ],
)
async def test_money_calls_refuse_repeated_names(client, content, headers, query):
    answer = problem(await client.post(f"/storefront/v1/money{query}", content=content, headers=headers), 422,
                     "validation_failed")  # fmt: skip
    assert answer["errors"][0]["code"] == "repeated"
    assert (await client.post("/storefront/v1/money", json={"id": 1})).status_code == 200


async def test_delete_takes_its_parameters_from_the_query_or_a_body(client):
    by_query = await client.delete("/storefront/v1/lines?id=7&unknown=1")
    by_body = await client.request("DELETE", "/storefront/v1/lines", json={"id": 7})
    assert by_query.json() == by_body.json() == {"id": 7, "quantity": 1}
    problem(await client.delete("/storefront/v1/lines?id=x"), 422, "validation_failed", "id")


async def test_brackets_work_in_the_query_too(client):
    answer = await client.get(
        "/storefront/v1/filter?ids[]=2&ids[]=1&filter_by[Size][]=M&filter_by[Size][]=L&x=1"
    )
    assert answer.json() == {"ids": [2, 1], "filter_by": {"Size": ["M", "L"]}}
