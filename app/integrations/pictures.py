"""What becomes of a picture's bytes: looked at within bounds, freed of what is not the picture, and made smaller.

The kind is what the bytes are, whatever a name or header says. A picture is turned as its camera meant, its
colours become sRGB, and it is written anew, so that no place, no owner and no second file travels in it.
"""

import struct
from io import BytesIO
from typing import Final

import msgspec
from PIL import Image, ImageCms, ImageOps

from app.domain.files.keeping import MOST_BYTES, MOST_PIXELS, PICTURE_UNUSABLE
from app.domain.files.names import Kind
from app.kit.errors import Invalid

READ: Final = ("JPEG", "PNG", "WEBP", "GIF")
# What a picture is kept as: the first frame of a GIF is kept without loss.
_KEPT_AS: Final[dict[str, Kind]] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "png"}
MEDIA_TYPES: Final[dict[Kind, str]] = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
LONGEST_SIDE: Final = 4000
QUALITY_KEPT: Final = 90
QUALITY_SHOWN: Final = 80
# What Pillow raises for files that are broken, lie about themselves or want too much.
_FAULTS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class CleanPicture(msgspec.Struct, frozen=True):
    """A picture that can be kept and shown."""

    content: bytes
    kind: Kind
    width: int
    height: int


def clean_picture(raw: bytes) -> CleanPicture:
    """The picture in these bytes, written anew, at most LONGEST_SIDE wide and high. Raises Invalid picture_unusable.

    Takes up to half a second of a thread: never call it on the event loop.
    """
    try:
        image = _open(raw)
        kind = _KEPT_AS[image.format or ""]
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        image = _plain(image)
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        return CleanPicture(_write(image, kind, QUALITY_KEPT), kind, image.width, image.height)
    except _FAULTS as error:
        raise unusable() from error


def resize_picture(raw: bytes, width: int, kind: Kind) -> bytes:
    """The picture that wide, never wider than it is. Raises Invalid picture_unusable. Not for the event loop."""
    try:
        image = _open(raw)
        # A JPEG can be read at a half, a quarter or an eighth of its size; twice what is wanted keeps it sharp.
        image.draft("RGB", (2 * width, 2 * max(1, image.height * width // image.width)))
        image = _plain(image)
        if image.width > width:
            height = max(1, round(image.height * width / image.width))
            image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return _write(image, kind, QUALITY_SHOWN)
    except _FAULTS as error:
        raise unusable() from error


def unusable() -> Invalid:
    return Invalid(
        PICTURE_UNUSABLE,
        f"This is no picture that can be used: JPEG, PNG, WebP or GIF, at most {MOST_BYTES >> 20} MB "
        f"and {MOST_PIXELS // 1_000_000} million pixels.",
    )


def _open(raw: bytes) -> Image.Image:
    # Only the head is read here; pixels are made when they are asked for.
    if len(raw) > MOST_BYTES:
        raise unusable()
    image = Image.open(BytesIO(raw), formats=READ)
    if image.width * image.height > MOST_PIXELS:
        raise unusable()
    return image


def _plain(image: Image.Image) -> Image.Image:
    """Eight bits of RGB, or RGBA where something is to be seen through, in sRGB, upright, with nothing attached."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off and not scale
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    see_through = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        image = _to_srgb(image, profile)
    image = image.convert("RGBA" if see_through else "RGB")
    image.info = {}
    return image


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        shown = ImageCms.profileToProfile(
            image, source, _SRGB, outputMode="RGBA" if image.mode == "RGBA" else "RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile is no reason to refuse a good picture
    return shown or image


def _write(image: Image.Image, kind: Kind, quality: int) -> bytes:
    out = BytesIO()
    if kind == "jpg":
        if image.mode == "RGBA":
            ground = Image.new("RGB", image.size, "white")
            ground.paste(image, mask=image.getchannel("A"))
            image = ground
        image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    elif kind == "png":
        image.save(out, "PNG", compress_level=6)
    else:
        image.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()
