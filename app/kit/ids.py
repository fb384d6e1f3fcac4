"""Secrets and tokens: how they are made, and how those that log somebody in are stored."""

import base64
import hashlib
import hmac
import os
import secrets
import uuid


def new_uuid() -> uuid.UUID:
    """A random (version 4) UUID: 122 bits, unguessable (RFC 9562)."""
    return uuid.uuid4()


def new_token() -> str:
    """A URL-safe secret of 256 bits."""
    return secrets.token_urlsafe(32)


def new_name() -> str:
    """96 random bits, URL-safe, that name something to others and open nothing: kept and shown as they are."""
    return base64url(os.urandom(12))


def base64url(raw: bytes) -> str:
    """Bytes as they stand in addresses and in WebAuthn's JSON (RFC 4648, section 5), without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_base64url(text: str) -> bytes | None:
    """The bytes again; None for what is not base64url."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except ValueError:
        return None


def digest(secret: str) -> bytes:
    """What is stored of a high-entropy secret: SHA-256. Never for passwords or short codes."""
    return hashlib.sha256(secret.encode()).digest()


def sign(key: str, *parts: str | bytes) -> str:
    """HMAC-SHA256 over unambiguously joined parts, in hex."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in raw)
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def verify(keys: tuple[str, ...], signature: str, *parts: str | bytes) -> bool:
    """Whether one of the keys made the signature, in constant time for each."""
    given = signature.encode("utf-8", "surrogateescape")
    return any(hmac.compare_digest(sign(key, *parts).encode(), given) for key in keys)
