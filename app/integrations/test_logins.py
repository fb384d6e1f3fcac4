"""A login provider without a company behind it, for development: whoever comes says who they are.

Its page is the development page's. A login is a signed note, kept nowhere, so every server process can read it;
all else of a login by redirect (state, nonce, verifier, the browser's mark) is as with any provider.
"""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from app.domain.customers.providers import VerifiedIdentity
from app.integrations.oauth.outcomes import refused
from app.kit import ids

SECONDS: Final = 60
_PURPOSE: Final = "test login"
_PATH: Final = "/test-login"


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the shop sends the browser with."""

    state: str
    nonce: str
    challenge: str
    redirect_uri: str


class _Note(msgspec.Struct, frozen=True):
    identity: VerifiedIdentity
    nonce: str
    challenge: str
    redirect_uri: str
    until: float


class TestLogins:
    """Implements RedirectProvider."""

    __test__ = False
    name: Final = "test-provider"

    def __init__(self, *, public_url: str, secrets: Sequence[str]) -> None:
        self._issuer = f"{public_url}{_PATH}"
        self._back = f"{public_url}/storefront/v1/customer/oauth/{self.name}/callback"
        self._secrets = tuple(secrets)

    async def begin(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        asked = LoginRequest(state, nonce, _challenge(verifier), redirect_uri)
        return f"{self._issuer}?{urlencode(msgspec.to_builtins(asked))}"

    def approve(
        self, asked: LoginRequest, *, email: str, name: str, is_verified: bool, now: datetime
    ) -> str | None:
        """Where the browser goes once somebody has said who they are; None for what is no login of this shop."""
        if not self.is_ours(asked.redirect_uri):
            return None
        identity = VerifiedIdentity(
            self._issuer, ids.digest(email).hex(), email=email, email_verified=is_verified, name=name
        )
        note = _Note(identity, asked.nonce, asked.challenge, asked.redirect_uri, now.timestamp() + SECONDS)
        body = base64.urlsafe_b64encode(msgspec.json.encode(note)).decode()
        code = f"{body}.{ids.sign(self._secrets[0], _PURPOSE, body)}"
        return f"{asked.redirect_uri}?{urlencode({'code': code, 'state': asked.state})}"

    def cancel(self, asked: LoginRequest) -> str | None:
        """Where the browser goes when they would rather not."""
        if not self.is_ours(asked.redirect_uri):
            return None
        return f"{asked.redirect_uri}?{urlencode({'error': 'access_denied', 'state': asked.state})}"

    def is_ours(self, redirect_uri: str) -> bool:
        """Whether this leads back to the shop, and nowhere else."""
        return redirect_uri == self._back

    async def finish(
        self,
        code: str,
        *,
        issuer: str | None,  # noqa: ARG002 - nobody else can have signed
        nonce: str,
        verifier: str,
        redirect_uri: str,
        now: datetime,
    ) -> VerifiedIdentity:
        body, _, signature = code.partition(".")
        if not ids.verify(self._secrets, signature, _PURPOSE, body):
            raise refused(self.name, "signature")
        note = msgspec.json.decode(base64.urlsafe_b64decode(body), type=_Note)
        wanted = (nonce, _challenge(verifier), redirect_uri)
        if (note.nonce, note.challenge, note.redirect_uri) != wanted or note.until < now.timestamp():
            raise refused(self.name, "another login, or one of some time ago")
        return note.identity

    async def close(self) -> None:
        """It holds nothing."""


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
