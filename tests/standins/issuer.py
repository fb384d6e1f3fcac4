"""An OpenID Connect provider whose every claim, header and key a test can change; its own books say who asked.

It keeps to what the specifications demand of a client: the code is good once, for the redirect address, the
client and the PKCE verifier that it was made for.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.canaries import MARK
from tests.standins.wire import Call, Reply, plain_server

CLIENT_ID = "shop-client"
ACCESS_TOKEN = f"{MARK}access-token"
CLIENT_SECRET = f"{MARK}shop-secret"

# Making a key takes a tenth of a second and more, so all stand-ins share these.
FIRST_KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
SECOND_KEY = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
FOREIGN_KEY = RSAKey.generate_key(2048, {"kid": "first"})
CURVE_KEY = ECKey.generate_key("P-256", {"kid": "curve"})


@dataclass
class Issuer:
    """Faults by path's last word (`jwks`, `token`, `userinfo`, `openid-configuration`): a Reply, or `hang`."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [FIRST_KEY])
    claims: dict[str, Any] = field(default_factory=dict)  # of everybody, over the defaults; None leaves out
    userinfo: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    faults: dict[str, Reply | str] = field(default_factory=dict)
    last_form: dict[str, str] = field(default_factory=dict)  # of the last trade of a code
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _never: asyncio.Event = field(default_factory=asyncio.Event)

    def id_token(self, *, key: Any = FIRST_KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token of Ada's, but for what is changed; None leaves a claim or a part of the header out."""
        now = int(time.time())
        whole = {
            "iss": self.url,
            "sub": "ada-1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada Berg",
            "given_name": "Ada",
            "family_name": "Berg",
        }
        return sign({**whole, **self.claims, **claims}, key=key, header=header)

    def approve(self, address: str, **claims: Any) -> dict[str, str]:
        """What the shopper's login at the provider's page leads back with."""
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = {"asked": asked, "claims": {"nonce": asked["nonce"], **claims}}
        return {"code": code, "state": asked["state"]}

    async def answer(self, call: Call) -> Reply | None:
        name = call.path.rpartition("/")[2]
        self.calls.append(name)
        fault = self.faults.get(name)
        if fault == "hang":
            await self._never.wait()
        if isinstance(fault, Reply):
            return fault
        pages = {
            "openid-configuration": self._describe,
            "jwks": lambda _: Reply(200, {"keys": [key.as_dict(private=False) for key in self.keys]}),
            "authorize": self._lead_back,
            "token": self._trade,
            "userinfo": self._tell,
        }
        return pages[name](call) if name in pages else Reply(404, {})

    def _lead_back(self, call: Call) -> Reply:
        """A login page that everybody passes as Ada, without a look."""
        asked = dict(call.params)
        back = self.approve(f"{self.url}/authorize?{urlencode(asked)}")
        return Reply(302, None, {"Location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    def _tell(self, call: Call) -> Reply:
        known = call.headers.get("authorization") == f"Bearer {ACCESS_TOKEN}"
        return Reply(200, self.userinfo) if known else Reply(401, {"error": "invalid_token"})

    def _describe(self, _: Call) -> Reply:
        described = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }
        return Reply(200, described)

    def _trade(self, call: Call) -> Reply:
        sent = self.last_form = dict(call.params)
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {basic}":
            return Reply(401, {"error": "invalid_client"})
        made = self._codes.pop(sent.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(
            hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        ).rstrip(b"=")
        if (
            made is None
            or sent.get("grant_type") != "authorization_code"
            or made["asked"]["redirect_uri"] != sent.get("redirect_uri")
            or made["asked"]["code_challenge"] != challenge.decode()
        ):
            return Reply(400, {"error": "invalid_grant"})
        token = self.id_token(**made["claims"])
        return Reply(200, {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": token})


def sign(claims: dict[str, Any], *, key: Any = FIRST_KEY, header: dict[str, Any] | None = None) -> str:
    """A token with these claims, signed as its header says; claims of None are left out."""
    kid = key.as_dict(private=False).get("kid")
    head = {"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    body = json.dumps({name: value for name, value in claims.items() if value is not None})
    registry = jws.JWSRegistry(algorithms=["RS256", "PS256", "ES256", "HS256"], strict_check_header=False)
    return jws.serialize_compact(head, body, key, registry=registry)


def unsigned(header: Any, claims: Any, signature: bytes = b"") -> str:
    """Three parts that nobody has signed."""
    return ".".join(
        base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode())
        .rstrip(b"=")
        .decode()
        for part in (header, claims, signature)
    )


@asynccontextmanager
async def issuer_stand_in() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    async with plain_server(issuer.answer) as issuer.url:
        yield issuer
