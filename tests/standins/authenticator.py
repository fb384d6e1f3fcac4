"""A passkey device in software: it makes keys, signs challenges, and lies about any single thing when asked to."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PRESENT, VERIFIED, CAN_BE_BACKED_UP, BACKED_UP, HAS_KEY = 1, 4, 8, 16, 64
ES256, EDDSA, RS256, ES384 = -7, -8, -257, -35
ORIGIN: Final = "http://localhost:8000"

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass
class Key:
    """One passkey on the device."""

    id: bytes
    private: PrivateKey
    algorithm: int
    rp_id: str
    handle: bytes
    count: int


@dataclass
class Authenticator:
    """`counts` is false for one whose passkeys are synchronised: their counter stays at 0."""

    algorithm: int = ES256
    counts: bool = True
    backed_up: bool = False
    keys: list[Key] = field(default_factory=list)

    def create(self, options: dict[str, Any], *, origin: str = ORIGIN, **lies: Any) -> dict[str, Any]:
        """What `navigator.credentials.create()` gives for these options, by its `toJSON()`.

        `lies`: challenge, rp_id, type, cross_origin, flags, credential_id, statement (format and statement).
        """
        handle = _raw(options["user"]["id"])
        key = Key(
            lies.get("credential_id", secrets.token_bytes(32)),
            _new_key(self.algorithm),
            self.algorithm,
            options["rp"]["id"],
            handle,
            0,
        )
        self.keys.append(key)
        client_data = _client_data("webauthn.create", options, origin, lies)
        flags = lies.get("flags", PRESENT | VERIFIED | self._backup) | HAS_KEY
        about = bytes(16) + len(key.id).to_bytes(2, "big") + key.id + cbor2.dumps(_cose(key))
        data = self._authenticator_data(key, lies.get("rp_id", key.rp_id), flags) + about
        form, statement = lies.get("statement", ("none", {}))
        if form == "self":
            signed = data + hashlib.sha256(client_data).digest()
            form, statement = "packed", {"alg": key.algorithm, "sig": _sign(key, signed)}
        attestation = cbor2.dumps({"fmt": form, "attStmt": statement, "authData": data})
        return _credential(
            key,
            {
                "clientDataJSON": base64url(client_data),
                "attestationObject": base64url(attestation),
                "authenticatorData": base64url(data),
                "publicKeyAlgorithm": key.algorithm,
                "transports": ["internal", "hybrid", "of-the-future"],
            },
        )

    def get(
        self, options: dict[str, Any], *, origin: str = ORIGIN, key: Key | None = None, **lies: Any
    ) -> dict[str, Any]:
        """What `navigator.credentials.get()` gives for these options, by its `toJSON()`.

        `lies`: challenge, rp_id, type, cross_origin, flags, count, handle, signer (a key in the real one's place).
        """
        used = key or self.keys[-1]
        if self.counts:
            used.count = lies.get("count", used.count + 1)
        client_data = _client_data("webauthn.get", options, origin, lies)
        flags = lies.get("flags", PRESENT | VERIFIED | self._backup)
        data = self._authenticator_data(used, lies.get("rp_id", used.rp_id), flags)
        signature = _sign(lies.get("signer", used), data + hashlib.sha256(client_data).digest())
        response = {
            "clientDataJSON": base64url(client_data),
            "authenticatorData": base64url(data),
            "signature": base64url(signature),
            "userHandle": base64url(lies.get("handle", used.handle)),
        }
        return _credential(used, response)

    @property
    def _backup(self) -> int:
        return (CAN_BE_BACKED_UP | BACKED_UP) if self.backed_up else 0

    def _authenticator_data(self, key: Key, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + key.count.to_bytes(4, "big")


def _credential(key: Key, response: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": base64url(key.id),
        "rawId": base64url(key.id),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {"credProps": {"rk": True}},
        "response": response,
    }


def _client_data(kind: str, options: dict[str, Any], origin: str, lies: dict[str, Any]) -> bytes:
    told = {
        "type": lies.get("type", kind),
        "challenge": lies.get("challenge", options["challenge"]),
        "origin": origin,
        "crossOrigin": lies.get("cross_origin", False),
    }
    return json.dumps(told).encode()


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def _new_key(algorithm: int) -> PrivateKey:
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == RS256:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP384R1() if algorithm == ES384 else ec.SECP256R1())


def _cose(key: Key) -> dict[int, Any]:
    """The public key (RFC 9053, section 7; RFC 8230 for RSA)."""
    public = key.private.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {1: 3, 3: RS256, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
    point = public.public_numbers()
    size, curve = (48, 2) if key.algorithm == ES384 else (32, 1)
    return {
        1: 2,
        3: key.algorithm,
        -1: curve,
        -2: point.x.to_bytes(size, "big"),
        -3: point.y.to_bytes(size, "big"),
    }


def _sign(key: Key, data: bytes) -> bytes:
    if isinstance(key.private, ed25519.Ed25519PrivateKey):
        return key.private.sign(data)
    if isinstance(key.private, rsa.RSAPrivateKey):
        return key.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.private.sign(data, ec.ECDSA(hashes.SHA384() if key.algorithm == ES384 else hashes.SHA256()))
