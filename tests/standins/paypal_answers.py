"""What the stand-in for PayPal says: refusals as its API words them, ids, amounts and links as it writes them."""

import secrets
from typing import Any

from app.kit.money import to_minor
from tests.standins.wire import Reply

Thing = dict[str, Any]

SEMANTIC = "UNPROCESSABLE_ENTITY"


class Refusal(Exception):  # noqa: N818 - what the API answers, not an error of ours
    def __init__(self, status: int, name: str, issue: str, links: list[Thing] | None = None) -> None:
        super().__init__(issue)
        body = {"name": name, "details": [{"issue": issue}], "debug_id": "f00d", "links": links or []}
        self.reply = Reply(status, body)


def unprocessable(issue: str, links: list[Thing] | None = None) -> Refusal:
    return Refusal(422, SEMANTIC, issue, links)


def malformed(issue: str) -> Refusal:
    return Refusal(400, "INVALID_REQUEST", issue)


def new_id() -> str:
    return secrets.token_hex(9).upper()[:17]


def minor_of(amount: Thing) -> int:
    return to_minor(amount["value"], amount["currency_code"])


def link(rel: str, href: str) -> Thing:
    return {"rel": rel, "href": href, "method": "GET"}


def broken() -> Reply:
    return Reply(500, {"name": "INTERNAL_SERVER_ERROR", "message": "An internal server error has occurred."})
