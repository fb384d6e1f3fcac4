"""How a picture of the shop's own is called, and which sizes its name lets anybody ask for.

A name says what is in it: the digest of the bytes, width and height, and a signature over both. So an address
never changes its content, and an address alone is enough to know the sizes; nobody can make up names that
cost this server work.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from app.kit.ids import sign

Kind = Literal["jpg", "png", "webp"]

# What pages are laid out for: a thumb, a card, a card or a page on a dense screen, a stage, a wide stage.
WIDTHS: Final = (160, 320, 640, 960, 1280, 1920)
_NAME: Final = re.compile(
    r"([0-9a-f]{40})_([1-9]\d{0,4})x([1-9]\d{0,4})_([0-9a-f]{32})\.(jpg|png|webp)", re.ASCII
)
_OWN: Final = re.compile(r"(https?://[^?#\s]+|)/files/([^/?#\s]+)")


class PictureName(msgspec.Struct, frozen=True):
    """A name, taken apart. The key under which the file is kept has no signature: keys of signing come and go."""

    digest: str
    width: int
    height: int
    signature: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.digest}_{self.width}x{self.height}_{self.signature}.{self.kind}"

    @property
    def key(self) -> str:
        return f"pictures/{self.digest[:2]}/{self.digest}.{self.kind}"

    def is_signed(self, secrets: Sequence[str]) -> bool:
        """Whether one of the secrets signed it, in constant time for each."""
        given = self.signature.encode()
        return any(
            hmac.compare_digest(_signature(secret, self.digest, self.width, self.height).encode(), given)
            for secret in secrets
        )


def name_picture(content: bytes, *, width: int, height: int, kind: Kind, secret: str) -> PictureName:
    """The name of a picture; the same bytes have the same name."""
    digest = hashlib.sha256(content).hexdigest()[:40]
    return PictureName(digest, width, height, _signature(secret, digest, width, height), kind)


def read_name(text: str) -> PictureName | None:
    """The name again; None for what has not its form. The signature is not looked at."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    kind: Any = found[5]
    return PictureName(found[1], int(found[2]), int(found[3]), found[4], kind)


def own_picture(src: str) -> tuple[str, PictureName] | None:
    """What stands before /files/ and the name, where an address is that of a picture of the shop's own."""
    found = _OWN.fullmatch(src)
    name = read_name(found[2]) if found else None
    return (found[1], name) if found and name else None


def sizes_of(src: str) -> list[dict[str, Any]]:
    """The smaller sizes of a picture, each with width, height and address; none where it is not ours."""
    own = own_picture(src)
    if own is None:
        return []
    base, name = own
    return [
        {
            "width": width,
            "height": max(1, (name.height * width + name.width // 2) // name.width),
            "src": f"{base}/images/{width}/{name}",
        }
        for width in WIDTHS
        if width < name.width
    ]


def srcset_of(src: str) -> str:
    """All sizes as HTML takes them in `srcset`, the picture itself last; empty where it is not ours."""
    own = own_picture(src)
    if own is None:
        return ""
    listed = [f"{size['src']} {size['width']}w" for size in sizes_of(src)]
    return ", ".join([*listed, f"{src} {own[1].width}w"])


def _signature(secret: str, digest: str, width: int, height: int) -> str:
    return sign(secret, "picture", digest, str(width), str(height))[:32]
