"""What browsers and the shop tell each other of passkeys.

What browsers speak stands here in their own words (WebAuthn Level 3, sections 5.1.8, 5.4 and 5.5): a page hands
the options to `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`, and sends back what `toJSON` gives.
"""

from typing import Annotated, Final, Literal

import msgspec

from app.api.faults import invalid_field
from app.api.limits import Token
from app.api.storefront.logins import Arriving, TypedPassword
from app.domain.customers.models import Passkey
from app.domain.customers.passkeys import CHALLENGE_SECONDS, NewCredential, UsedCredential
from app.kit.clock import isoformat
from app.kit.ids import read_base64url

_BASE64URL: Final = "^[A-Za-z0-9_-]+={0,2}$"
_MOST_ID: Final = 1400
_TIMEOUT_MS: Final = CHALLENGE_SECONDS * 1000

CredentialId = Annotated[str, msgspec.Meta(max_length=_MOST_ID, pattern=_BASE64URL)]
ShortBytes = Annotated[str, msgspec.Meta(max_length=4_096, pattern=_BASE64URL)]
LongBytes = Annotated[str, msgspec.Meta(max_length=16_384, pattern=_BASE64URL)]
Handle = Annotated[str, msgspec.Meta(max_length=128, pattern=_BASE64URL)]
Word = Annotated[str, msgspec.Meta(max_length=32)]
KeyName = Annotated[str, msgspec.Meta(max_length=60, description="Left out: what the device calls itself.")]


class BeginPasskey(msgspec.Struct, forbid_unknown_fields=True):
    """`password` where the login is older than a quarter of an hour."""

    password: TypedPassword | None = None


class BeginPasskeyLogin(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing is said yet: who it is, the passkey tells."""


# Browsers add members to what they send (extensions, `publicKey`, and what is still to come), which say nothing
# that we ask for: so these, unlike everything of our own, may have more than is named here.
class NewCredentialAnswer(msgspec.Struct):
    client_data: ShortBytes = msgspec.field(name="clientDataJSON")
    attestation: LongBytes = msgspec.field(name="attestationObject")
    transports: Annotated[list[Word], msgspec.Meta(max_length=16)] = []


class NewPublicKey(msgspec.Struct):
    """What `navigator.credentials.create()` gave, by its `toJSON()`."""

    id: CredentialId
    type: Literal["public-key"]
    response: NewCredentialAnswer


class UsedCredentialAnswer(msgspec.Struct):
    client_data: ShortBytes = msgspec.field(name="clientDataJSON")
    authenticator_data: ShortBytes = msgspec.field(name="authenticatorData")
    signature: ShortBytes
    user_handle: Handle | None = msgspec.field(name="userHandle", default=None)


class UsedPublicKey(msgspec.Struct):
    """What `navigator.credentials.get()` gave, by its `toJSON()`."""

    id: CredentialId
    type: Literal["public-key"]
    response: UsedCredentialAnswer


class AddPasskey(msgspec.Struct, forbid_unknown_fields=True):
    credential: NewPublicKey
    name: KeyName = ""


class LogInByPasskey(Arriving, kw_only=True):
    """`login_id` is the options' own."""

    login_id: Token
    credential: UsedPublicKey
    remember_me: bool = True


class RelyingParty(msgspec.Struct):
    id: str
    name: str


class PasskeyUser(msgspec.Struct, rename="camel"):
    id: str
    name: str
    display_name: str


class PasskeyAlgorithm(msgspec.Struct):
    alg: int
    type: str = "public-key"


class PasskeyDescriptor(msgspec.Struct):
    id: str
    transports: list[str]
    type: str = "public-key"


class PasskeySelection(msgspec.Struct, rename="camel"):
    resident_key: str = "required"
    require_resident_key: bool = True
    user_verification: str = "required"


class PasskeyOptions(msgspec.Struct, rename="camel"):
    """`PublicKeyCredentialCreationOptionsJSON`; bytes are base64url."""

    rp: RelyingParty
    user: PasskeyUser
    challenge: str
    pub_key_cred_params: list[PasskeyAlgorithm]
    exclude_credentials: list[PasskeyDescriptor]
    authenticator_selection: PasskeySelection
    timeout: int = _TIMEOUT_MS
    attestation: str = "none"


class PasskeyLoginOptions(msgspec.Struct, rename="camel"):
    """`PublicKeyCredentialRequestOptionsJSON` and, beside it, the `login_id` to send back."""

    challenge: str
    rp_id: str
    login_id: str = msgspec.field(name="login_id")
    allow_credentials: list[PasskeyDescriptor] = []
    user_verification: str = "required"
    timeout: int = _TIMEOUT_MS


class StorefrontPasskey(msgspec.Struct, frozen=True):
    """`backed_up`: the maker of the device keeps a copy, for the owner's other devices."""

    id: int
    name: str
    backed_up: bool
    transports: list[str]
    created_at: str
    last_used_at: str | None


class StorefrontPasskeys(msgspec.Struct, frozen=True):
    items: list[StorefrontPasskey]


def show_passkey(passkey: Passkey) -> StorefrontPasskey:
    used = passkey.last_used_at
    return StorefrontPasskey(
        passkey.id,
        passkey.name,
        passkey.backed_up,
        passkey.transports,
        isoformat(passkey.created_at),
        isoformat(used) if used else None,
    )


def _bytes(text: str, field: str) -> bytes:
    found = read_base64url(text)
    if found is None:
        raise invalid_field(field, "invalid_base64url", "This is not base64url.")
    return found


def read_new_credential(sent: NewPublicKey) -> NewCredential:
    at = "credential.response"
    return NewCredential(
        _bytes(sent.id, "credential.id"),
        _bytes(sent.response.client_data, f"{at}.clientDataJSON"),
        _bytes(sent.response.attestation, f"{at}.attestationObject"),
    )


def read_used_credential(sent: UsedPublicKey) -> UsedCredential:
    at = "credential.response"
    return UsedCredential(
        _bytes(sent.id, "credential.id"),
        _bytes(sent.response.client_data, f"{at}.clientDataJSON"),
        _bytes(sent.response.authenticator_data, f"{at}.authenticatorData"),
        _bytes(sent.response.signature, f"{at}.signature"),
    )


SOME_CREDENTIAL: Final = {"id": "bm9uZQ", "rawId": "bm9uZQ", "type": "public-key"}
SOME_NEW: Final = {"clientDataJSON": "e30", "attestationObject": "oA", "transports": ["internal"]}
SOME_USE: Final = {"clientDataJSON": "e30", "authenticatorData": "oA", "signature": "oA", "userHandle": "oA"}
