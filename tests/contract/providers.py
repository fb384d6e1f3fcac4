"""The login providers and PayPal for the demo shop: stand-ins in a thread of their own, and what the rows send."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.standins.facebook import APP_ID, APP_SECRET, facebook_stand_in
from tests.standins.issuer import CLIENT_ID, CLIENT_SECRET, issuer_stand_in
from tests.standins.paypal import paypal_stand_in

NAME = "stand-in"
START_PATIENCE = 30.0


@dataclass(frozen=True)
class Providers:
    """What the shop is started with, and values for `$demo` that only the providers can make."""

    environ: dict[str, str]
    demo: dict[str, Any]


@contextmanager
def login_providers() -> Iterator[Providers]:
    found: list[Providers] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with (
            issuer_stand_in() as issuer,
            facebook_stand_in() as facebook,
            paypal_stand_in() as paypal,
        ):
            environ = {
                "GOOGLE_CLIENT_IDS": CLIENT_ID,
                "GOOGLE_ISSUER": issuer.url,
                "GOOGLE_JWKS_URL": f"{issuer.url}/jwks",
                "FACEBOOK_APP_ID": APP_ID,
                "FACEBOOK_APP_SECRET": APP_SECRET,
                "FACEBOOK_GRAPH_URL": facebook.url,
                "PAYPAL_CLIENT_ID": paypal.client_id,
                "PAYPAL_CLIENT_SECRET": paypal.client_secret,
                "PAYPAL_API_BASE": paypal.url,
                "PAYPAL_WEBHOOK_ID": paypal.webhook_id,
                "OIDC_PROVIDERS": NAME,
                "OIDC_STAND_IN_ISSUER": issuer.url,
                "OIDC_STAND_IN_CLIENT_ID": CLIENT_ID,
                "OIDC_STAND_IN_CLIENT_SECRET": CLIENT_SECRET,
            }
            demo = {
                "google_token": issuer.id_token(sub="google-1", email="google@example.com"),
                "facebook_token": facebook.make_token(email="facebook@example.com", expires_at=0),
                "oauth_provider": NAME,
            }
            found.append(Providers(environ, demo))
            started.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        if not started.wait(START_PATIENCE):
            raise RuntimeError("the stand-ins of the login providers did not start")
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(START_PATIENCE)
        loop.close()
