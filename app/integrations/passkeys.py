"""What authenticators sign, checked by py_webauthn; what that leaves open is decided here.

Only what was asked for is taken: three algorithms, no attestation by a maker, a verified user, our own pages as
the origin and not a frame in somebody else's. The library is loaded with the first passkey.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from app.domain.customers.errors import passkey_not_known, passkey_refused
from app.domain.customers.passkeys import ALGORITHMS, MadeKey, NewCredential, UsedCredential, UsedKey
from app.kit.errors import AppError
from app.kit.ids import base64url

log: Final = structlog.get_logger("storefront.passkeys")
T = TypeVar("T")

# WebAuthn Level 3, section 4: a credential's id has 1023 bytes at most.
MOST_ID_BYTES: Final = 1023
ANDROID: Final = "android:apk-key-hash:"
# Nothing of a maker was asked for: these are what is left then (section 5.1.3, step 22).
_FORMATS: Final = frozenset({"none", "packed"})


class Passkeys:
    """Implements PasskeyChecker. `origins` are pages, and Android apps by the hash of their key."""

    def __init__(self, domain: str, origins: Iterable[str]) -> None:
        self.domain = domain
        self._origins = sorted(origins)

    async def check_new(self, credential: NewCredential, *, challenge: bytes) -> MadeKey:
        return await _checked(
            partial(self._check_new, credential, challenge),
            refusal=lambda why: passkey_refused(f"This passkey cannot be kept: {why}."),
        )

    async def check_use(
        self, credential: UsedCredential, *, challenge: bytes, public_key: bytes, sign_count: int
    ) -> UsedKey:
        return await _checked(
            partial(self._check_use, credential, challenge, public_key, sign_count),
            refusal=lambda _: passkey_not_known(),
        )

    def _check_new(self, credential: NewCredential, challenge: bytes) -> MadeKey:
        from webauthn import verify_registration_response  # noqa: PLC0415 - see the head of this file
        from webauthn.helpers import (  # noqa: PLC0415 - as above
            decode_credential_public_key,
            decoded_public_key_to_cryptography,
            parse_attestation_object,
        )
        from webauthn.helpers.cose import COSEAlgorithmIdentifier  # noqa: PLC0415 - as above

        if parse_attestation_object(credential.attestation).fmt not in _FORMATS:
            raise _RefusedError("its attestation was not asked for")
        verified = verify_registration_response(
            credential=_as_sent(
                credential.id,
                clientDataJSON=credential.client_data,
                attestationObject=credential.attestation,
            ),
            expected_challenge=challenge,
            expected_rp_id=self.domain,
            expected_origin=self._origins,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(number) for number in ALGORITHMS],
        )
        if verified.credential_id != credential.id or len(credential.id) > MOST_ID_BYTES:
            raise _RefusedError("its id is not what the authenticator says, or too long")
        _refuse_frames(credential.client_data)
        # A key that nothing can be checked with is found out now, not at the first login.
        decoded_public_key_to_cryptography(decode_credential_public_key(verified.credential_public_key))
        return MadeKey(
            verified.credential_id,
            verified.credential_public_key,
            verified.sign_count,
            verified.credential_backed_up,
        )

    def _check_use(
        self, credential: UsedCredential, challenge: bytes, public_key: bytes, sign_count: int
    ) -> UsedKey:
        from webauthn import verify_authentication_response  # noqa: PLC0415 - see the head of this file

        verified = verify_authentication_response(
            credential=_as_sent(
                credential.id,
                clientDataJSON=credential.client_data,
                authenticatorData=credential.authenticator_data,
                signature=credential.signature,
            ),
            expected_challenge=challenge,
            expected_rp_id=self.domain,
            expected_origin=self._origins,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
        _refuse_frames(credential.client_data)
        return UsedKey(verified.new_sign_count, verified.credential_backed_up)


class _RefusedError(Exception):
    """Why a credential is not taken, beyond what the library says."""


def passkey_origins(domain: str, origins: Iterable[str]) -> frozenset[str]:
    """Those origins in which a browser lets a page use passkeys of this domain, and all Android apps."""
    return frozenset(one for one in origins if one.startswith(ANDROID) or _is_below(_host(one), domain))


def _host(origin: str) -> str:
    return origin.partition("://")[2].partition(":")[0]


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _as_sent(credential_id: bytes, **response: bytes) -> dict[str, Any]:
    """The JSON form that the library reads, from what was decoded and bounded before."""
    word = base64url(credential_id)
    return {
        "id": word,
        "rawId": word,
        "type": "public-key",
        "response": {name: base64url(value) for name, value in response.items()},
    }


def _refuse_frames(client_data: bytes) -> None:
    from webauthn.helpers import parse_client_data_json  # noqa: PLC0415 - see the head of this file

    if parse_client_data_json(client_data).cross_origin:
        raise _RefusedError("it was used in a frame of another site's page")


async def _checked(check: Callable[[], T], *, refusal: Callable[[str], AppError]) -> T:
    """Run a check in a thread, where loading the library and verifying hold nobody up."""
    try:
        return await asyncio.to_thread(check)
    except Exception as problem:  # noqa: BLE001 - what was sent is anybody's bytes, and so are the parsers' complaints
        # The library's sentences quote what was sent, which need not stand in a log.
        why = str(problem) if isinstance(problem, _RefusedError) else _plain(problem)
        log.info("passkey refused", reason=type(problem).__name__)
        raise refusal(why) from None


def _plain(problem: Exception) -> str:
    """The complaint for people, without what was sent."""
    text = str(problem).lower()
    for word, why in _REASONS:
        if word in text:
            return why
    return "it cannot be read"


_REASONS: Final = (
    ("origin", "it was made on a page that is not the shop's"),
    ("challenge", "it answers another challenge"),
    ("rp id", "it was made for another site"),
    ("user verification", "the device did not check who is there"),
    ("user was not present", "nobody was there"),
    ("alg", "its kind of key was not asked for"),
)
