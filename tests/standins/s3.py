"""A bucket that speaks as much of S3 as the shop uses: PUT and GET of an object, signed with version 4.

Written from Amazon's reference of the S3 API. The signature's form is looked at, and whose key it names; that
it is right is the business of the library that makes it.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from tests.standins.wire import Call, Reply, plain_server


class Bucket:
    """What is kept, by path with the bucket's name first; `away` answers 503 to everything."""

    def __init__(self, access_key: str) -> None:
        self.access_key = access_key
        self.kept: dict[str, bytes] = {}
        self.away = False

    async def answer(self, call: Call) -> Reply:
        if self.away:
            return _fault(503, "SlowDown")
        signed = call.headers.get("authorization", "")
        if not signed.startswith(f"AWS4-HMAC-SHA256 Credential={self.access_key}/"):
            return _fault(403, "InvalidAccessKeyId")
        path = call.path.lstrip("/")
        if call.method == "PUT":
            self.kept[path] = call.body
            return Reply(200, b"", {"ETag": _tag(call.body)})
        content = self.kept.get(path)
        if content is None:
            return _fault(404, "NoSuchKey")
        return Reply(200, content, {"ETag": _tag(content), "Last-Modified": formatdate(0, usegmt=True)})


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _fault(status: int, code: str) -> Reply:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


@asynccontextmanager
async def running_bucket(**options: Any) -> AsyncIterator[tuple[Bucket, str]]:
    """The bucket and its endpoint."""
    bucket = Bucket(**options)
    async with plain_server(bucket.answer) as url:
        yield bucket, url
