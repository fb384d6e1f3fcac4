"""Whether the webhooks of our payment services can be reached where the services are told to find them."""

import asyncio
from typing import Final

import httpx

from app.parts import build_parts, close_parts
from app.settings import Settings

ANSWER_SECONDS: Final = 4.0
# What our door answers to an event that nobody signed.
REFUSAL: Final = (403, "bad_signature")


class UnreachableError(Exception):
    """Nothing answers, or something else than this shop does; silent: nothing listens there at all."""

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


async def reach_webhooks(settings: Settings) -> str:
    """Call each webhook at the public address as its service would, unsigned: it must be refused by us.

    Raises UnreachableError for the first that cannot be reached.
    """
    parts = build_parts(settings, application_name="storefront doctor")
    services = sorted(parts.till.services)
    await close_parts(parts)
    if not services:
        return "no payment service sends any"
    base = f"{settings.public_url}/storefront/v1/webhooks"
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
        await asyncio.gather(*(_knock(client, f"{base}/{name}") for name in services))
    return f"reached at {', '.join(f'{base}/{name}' for name in services)}"


async def _knock(client: httpx.AsyncClient, address: str) -> None:
    try:
        answer = await client.post(address, json={})
    except httpx.ConnectError as problem:
        raise UnreachableError(f"{address} does not answer ({problem})", silent=True) from problem
    except httpx.HTTPError as problem:
        raise UnreachableError(f"{address} fails ({type(problem).__name__} {problem})") from problem
    if answer.is_redirect:
        elsewhere = answer.headers.get("location", "elsewhere")
        raise UnreachableError(f"{address} redirects to {elsewhere}, where no service follows")
    try:
        code = answer.json()["code"]
    except (ValueError, KeyError, TypeError):
        code = None
    if (answer.status_code, code) != REFUSAL:
        raise UnreachableError(
            f"{address} answers {answer.status_code} {code or ''}".rstrip()
            + ", and this shop would refuse an unsigned event with 403 bad_signature"
        )
