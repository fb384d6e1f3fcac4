"""What keeps files: a folder of this machine, or a bucket elsewhere."""

from typing import Final, Protocol

from app.kit.errors import Invalid, declare

PICTURE_UNUSABLE: Final = declare(
    Invalid,
    "picture_unusable",
    "The file is no picture that can be used: JPEG, PNG, WebP or GIF of bounded size.",
)
# What a picture may come to, in bytes and in pixels, before it is looked at more closely.
MOST_BYTES: Final = 20 * 1024 * 1024
MOST_PIXELS: Final = 40_000_000


class FileStore(Protocol):
    """Bytes by key. Raises Unavailable where what keeps them is away."""

    async def get(self, key: str, *, most: int = MOST_BYTES) -> bytes | None:
        """The bytes; None where there are none, or more than `most`."""

    async def put(self, key: str, content: bytes) -> None:
        """Keep the bytes, in the place of others under that key; readers see all of them or none."""
