"""What becomes of a picture's bytes: bounds, kinds by content, nothing attached, colours and turns kept."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from app.domain.files.keeping import MOST_BYTES, MOST_PIXELS
from app.integrations.pictures import LONGEST_SIDE, clean_picture, resize_picture
from app.kit.errors import Invalid


def written(image: Image.Image, form: str, **options) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def photo(width=64, height=48) -> Image.Image:
    image = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (image, image.point(lambda value: 255 - value), image))


def png_that_says(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of one bit of grey whose head names any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def read(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize(
    ("form", "kind"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "png")]
)
def test_a_picture_is_what_its_bytes_are(form, kind):
    clean = clean_picture(written(photo(), form))
    assert (clean.kind, clean.width, clean.height) == (kind, 64, 48)
    assert read(clean.content).format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[kind]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.7\n",
        b"\xff\xd8\xff\xe0" + b"\0" * 400,
        written(photo(), "BMP"),
        written(photo(), "TIFF"),
        written(photo(), "PNG")[:200],
        written(photo(), "JPEG")[:-300],
    ],
    ids=["nothing", "a head only", "svg", "pdf", "zeros", "bmp", "tiff", "half a png", "a cut jpeg"],
)
def test_what_is_no_whole_picture_of_the_four_kinds_is_refused(raw):
    with pytest.raises(Invalid) as refused:
        clean_picture(raw)
    assert refused.value.code == "picture_unusable"
    with pytest.raises(Invalid):
        resize_picture(raw, 160, "jpg")


@pytest.mark.parametrize(
    ("width", "height"),
    [(8000, 6000), (10_000, 10_000), (60_000, 60_000), (2**31 - 1, 1), (MOST_PIXELS + 1, 1)],
)
def test_a_bomb_is_refused_by_what_its_head_says(width, height):
    # 100 million pixels of one bit are 12 KB of file.
    rows = zlib.compress(b"\0" * min((width // 8 + 1) * height, 12_500_000), 9)
    bomb = png_that_says(width, height, rows)
    assert len(bomb) < 50_000
    with pytest.raises(Invalid) as refused:
        clean_picture(bomb)
    assert refused.value.code == "picture_unusable"


def test_bytes_beyond_the_bound_are_not_even_looked_at():
    good = written(photo(), "PNG")
    with pytest.raises(Invalid):
        clean_picture(good + b"\0" * MOST_BYTES)


def test_a_picture_that_is_too_long_is_kept_smaller():
    clean = clean_picture(written(Image.new("RGB", (LONGEST_SIDE * 2, 100), "red"), "PNG"))
    assert (clean.width, clean.height) == (LONGEST_SIDE, 50)
    assert read(clean.content).size == (LONGEST_SIDE, 50)


def test_nothing_that_a_camera_or_an_editor_noted_is_kept():
    noted = Image.Exif()
    noted[0x010F] = "Camera of Ada Berg"
    noted.get_ifd(0x8825)[1] = "N"
    for form in ("JPEG", "PNG", "WEBP"):
        raw = written(photo(), form, exif=noted, xmp=b"<x>Ada Berg</x>") + b"Ada Berg's second file"
        assert b"Ada Berg" in raw
        content = clean_picture(raw).content
        assert b"Ada Berg" not in content
        assert not dict(read(content).getexif())
        assert b"Ada Berg" not in resize_picture(raw, 32, "webp")


def test_a_picture_is_turned_as_its_camera_meant():
    upright = Image.new("RGB", (60, 40), "white")
    upright.paste("red", (0, 0, 20, 40))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned a quarter to the right (TIFF 6.0, tag Orientation)
    clean = clean_picture(written(upright, "PNG", exif=turned))
    shown = read(clean.content)
    assert (clean.width, clean.height) == shown.size == (40, 60)
    assert shown.getpixel((20, 5)) == (255, 0, 0)
    assert shown.getpixel((20, 50)) == (255, 255, 255)


def test_colors_of_another_space_become_srgb():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A space whose red is our blue: sRGB with two entries of its table of tags exchanged (ICC.1, 7.3).
    other = srgb.replace(b"rXYZ", b"swap").replace(b"bXYZ", b"rXYZ").replace(b"swap", b"bXYZ")
    raw = written(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=other)
    shown = read(clean_picture(raw).content)
    assert "icc_profile" not in shown.info
    red, _, blue = shown.getpixel((4, 4))
    assert red < 5
    assert blue > 250


def test_a_broken_profile_is_no_reason_to_refuse():
    assert clean_picture(written(photo(), "JPEG", icc_profile=b"nonsense" * 40)).width == 64


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_a_picture_in_every_kind(mode):
    form = "JPEG" if mode == "CMYK" else "PNG" if mode != "PA" else "GIF"
    raw = written(Image.new(mode if mode != "PA" else "P", (40, 30)), form)
    for kind in ("jpg", "png", "webp"):
        assert read(resize_picture(raw, 20, kind)).size == (20, 15)


def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off():
    raw = written(Image.new("I;16", (4, 4), 32_768), "PNG")
    assert read(clean_picture(raw).content).getpixel((0, 0)) == (128, 128, 128)


def test_what_is_seen_through_stays_so_and_is_white_as_jpeg():
    raw = written(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG")
    assert read(resize_picture(raw, 20, "png")).getpixel((5, 5))[3] == 0
    assert read(resize_picture(raw, 20, "webp")).getpixel((5, 5))[3] == 0
    assert read(resize_picture(raw, 20, "jpg")).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("size", "wanted", "made"),
    [((640, 480), 160, (160, 120)), ((100, 50), 160, (100, 50)), ((3000, 2), 160, (160, 1))],
)
def test_a_size_keeps_its_proportions_and_is_never_larger_than_the_picture(size, wanted, made):
    for form in ("JPEG", "PNG"):
        assert read(resize_picture(written(Image.new("RGB", size), form), wanted, "jpg")).size == made


def test_of_a_moving_picture_the_first_frame_is_shown():
    frames = [Image.new("RGB", (10, 10), color) for color in ("red", "blue")]
    raw = written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    shown = read(clean_picture(raw).content)
    assert getattr(shown, "n_frames", 1) == 1
    assert shown.convert("RGB").getpixel((5, 5))[0] > 240
