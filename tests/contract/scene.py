"""What one row's call stands on: the shop's address, the values that setups made, and how a call is sent."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from tests.contract.table import BASE, Request

WHOLE = re.compile(r"^\$([a-z_]+(?:\.[\w-]+)*)$")
INSIDE = re.compile(r"\$\{([a-z_]+(?:\.[\w-]+)*)\}")
MAIL_PATIENCE = 15.0
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c49444154789c6378ea7006000404019f1c5b7a110000000049454e44ae426082"
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SAMPLES = {"png": ("sample.png", PNG, "image/png"), "pdf": ("sample.pdf", PDF, "application/pdf")}


class SetupError(Exception):
    """What a row stands on could not be made; the row is reported with this text."""


@dataclass
class Shop:
    """A running shop and what is known of it beforehand. `found` is kept for the whole run."""

    client: httpx.Client
    mails: Path | None = None
    demo: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


class Scene:
    """The values of one row, made fresh for each of its calls so that no call rests on another's effect."""

    def __init__(self, shop: Shop, setups: dict[str, Callable[["Scene"], Any]]) -> None:
        self.shop = shop
        self.made: dict[str, Any] = {}
        self._setups = setups

    def use(self, name: str) -> Any:
        if name not in self.made:
            if name not in self._setups:
                raise SetupError(f"no setup is called {name!r}")
            self.made[name] = self._setups[name](self)
        return self.made[name]

    def demo(self, name: str) -> Any:
        """A value of the demo shop that no call can find out, from demo.toml."""
        value = self.shop.demo.get(name)
        if value in (None, ""):
            raise SetupError(f"needs demo.toml to say {name!r}")
        return value

    def resolve(self, value: Any) -> Any:
        """`value` with every `$name.path` and `${name.path}` replaced."""
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, str):
            return value
        if whole := WHOLE.match(value):
            return self._look_up(whole[1])
        return INSIDE.sub(lambda match: str(self._look_up(match[1])), value)

    def _look_up(self, dotted: str) -> Any:
        name, *steps = dotted.split(".")
        value = self.demo(steps[0]) if name == "demo" else self.use(name)
        for step in steps[1:] if name == "demo" else steps:
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise SetupError(f"the shop gave no ${dotted}") from error
        return value

    def send(self, request: Request, *, encoding: str = "json", base: str = BASE) -> httpx.Response:
        path = request.path
        for name, value in request.params.items():
            path = path.replace("{" + name + "}", str(self.resolve(value)))
        path = self.resolve(path)
        headers = self.resolve(request.headers) | self._credentials(request.caller)
        if request.method == "POST":
            # A caller that neither logs in nor sends a secret has its keys to itself only when they are long.
            headers.setdefault("Idempotency-Key", secrets.token_urlsafe(24))
        content, media_type = self._body(request, encoding)
        if media_type:
            headers.setdefault("Content-Type", media_type)
        query = list(flatten(self.resolve(request.query)))
        return self.shop.client.request(
            request.method, base + path, params=query or None, content=content, headers=headers
        )

    def _credentials(self, caller: str) -> dict[str, str]:
        if not caller:
            return {}
        if caller == "staff":
            return {"Authorization": f"Bearer {self.demo('staff_key')}"}
        return {"Authorization": f"Bearer {self.use(caller)['auth_key']}"}

    def _body(self, request: Request, encoding: str) -> tuple[bytes | None, str]:
        if request.body is None and not request.files:
            return None, ""
        body = self.resolve(request.body or {})
        if encoding == "json":
            return json.dumps(body).encode(), "application/json"
        pairs = list(flatten(body))
        if encoding == "form":
            return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
        parts: list[Any] = [(name, (None, value)) for name, value in pairs]
        parts += [(name, SAMPLES[kind]) for name, kinds in request.files.items() for kind in kinds]
        # httpx writes the parts; the boundary travels in its header.
        built = httpx.Request("POST", "http://shop", files=parts or {"": (None, "")})
        return built.read(), built.headers["Content-Type"]

    # --- for setups: calls that must work -----------------------------------------------------------

    def ask(self, method: str, path: str, *, status: int = 200, **parts: Any) -> Any:
        """The answer's body; SetupError with what the shop said where the status is another."""
        response = self.send(Request(method=method, path=path, **parts))
        if response.status_code != status:
            raise SetupError(f"{method} {path} answers {describe(response)}, wanted {status}")
        return response.json() if response.content else None

    def mailed(self, address: str, pattern: str, *, at_least: int = 1) -> str:
        """The newest match of `pattern` (its first group) in mails to `address`; waits for the queue.

        `at_least` mails must have come: an older mail with a link of its own is not the one that was asked for.
        """
        if self.shop.mails is None:
            raise SetupError("needs the shop's mails: pass --data-dir")
        for _ in every(MAIL_PATIENCE):
            texts = list(mails_to(self.shop.mails, address))
            found = [match[1] for text in texts if (match := re.search(pattern, text))]
            if found and len(texts) >= at_least:
                return found[0]
        raise SetupError(f"no mail with {pattern} came to {address} within {MAIL_PATIENCE:.0f} s")


def every(seconds: float, gap: float = 0.2) -> Iterator[None]:
    """Once at least, then again until the time is up: for effects of another process, seen only by asking."""
    until = time.monotonic() + seconds
    yield
    while time.monotonic() < until:
        time.sleep(gap)
        yield


def mails_to(folder: Path, address: str) -> Iterator[str]:
    """Texts of the mails to an address, the newest first."""
    # The data folder holds a database too, which is not worth walking where a folder is named after mail.
    named = [place for place in folder.iterdir() if place.is_dir() and "mail" in place.name]
    files = [file for place in named or [folder] for file in place.rglob("*.eml")]
    for file in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        if address.lower() in str(message["to"]).lower():
            parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
            yield "\n".join(part.get_content() for part in parts)


def flatten(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Nested values under their bracket names: a[b]=1, a[]=1, and of groups a[0][b]=1."""
    for key, item in value.items():
        yield from _flatten(key, item)


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{name}[{key}]", item)
    elif isinstance(value, list):
        bare = name.removesuffix("[]")
        for place, item in enumerate(value):
            yield from _flatten(f"{bare}[{place if isinstance(item, dict) else ''}]", item)
    elif value is not None:
        yield name, str(int(value)) if isinstance(value, bool) else str(value)


def describe(response: httpx.Response) -> str:
    """Status and, from a problem, its code and detail."""
    try:
        problem = response.json()
    except ValueError:
        return str(response.status_code)
    if not isinstance(problem, dict):
        return str(response.status_code)
    faults = ", ".join(
        f"{fault.get('field')}: {fault.get('message')}"
        for fault in problem.get("errors") or []
        if isinstance(fault, dict)
    )
    told = f"{problem.get('code', '')} {faults or problem.get('detail', '')}".strip()
    return f"{response.status_code} {told[:160]}".strip()


def local(url: str) -> str:
    """The path and query of a link that the shop made with its public address."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
