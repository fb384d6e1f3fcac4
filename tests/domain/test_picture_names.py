"""What the name of a picture says, and whose addresses have sizes."""

import pytest

from app.domain.files.names import WIDTHS, name_picture, own_picture, read_name, sizes_of, srcset_of
from app.settings import Settings, SettingsError, load_settings

SECRET = "k" * 40
NAME = name_picture(b"pixels", width=1000, height=750, kind="jpg", secret=SECRET)
OWN = f"https://shop.example/files/{NAME}"


def test_a_name_can_be_read_back_and_is_signed_with_any_of_the_keys():
    assert read_name(str(NAME)) == NAME
    assert NAME.is_signed([SECRET])
    assert NAME.is_signed(["newer" * 10, SECRET])
    assert not NAME.is_signed(["newer" * 10])


@pytest.mark.parametrize(
    "changed", [("1000x750", "1001x750"), ("1000x750", "1000x7500"), (NAME.digest, "0" * 40)]
)
def test_a_name_with_another_width_height_or_digest_is_not_signed(changed):
    other = read_name(str(NAME).replace(*changed))
    assert other is not None
    assert not other.is_signed([SECRET])


def test_the_same_bytes_have_the_same_name_and_others_another():
    again = name_picture(b"pixels", width=1000, height=750, kind="jpg", secret=SECRET)
    other = name_picture(b"pixel", width=1000, height=750, kind="jpg", secret=SECRET)
    assert str(again) == str(NAME)
    assert other.key != NAME.key


def test_sizes_are_the_widths_below_the_pictures_own_in_its_proportions():
    sizes = sizes_of(OWN)
    assert [size["width"] for size in sizes] == [width for width in WIDTHS if width < 1000]
    assert [(size["width"], size["height"]) for size in sizes][:3] == [(160, 120), (320, 240), (640, 480)]
    assert sizes[0]["src"] == f"https://shop.example/images/160/{NAME}"
    assert srcset_of(OWN).endswith(f", {OWN} 1000w")
    assert srcset_of(OWN).startswith(f"{sizes[0]['src']} 160w, ")


def test_a_line_of_pixels_keeps_a_height_of_one():
    name = name_picture(b"line", width=5000, height=1, kind="png", secret=SECRET)
    assert [size["height"] for size in sizes_of(f"https://shop.example/files/{name}")] == [1] * len(WIDTHS)


@pytest.mark.parametrize(
    "src",
    [
        "https://cdn.example/files/tent.jpg",
        "https://cdn.example/s/files/1/0001/products/tent.jpg?v=1",
        f"https://cdn.example/other/{NAME}",
        f"{OWN}?v=2",
        f"ftp://shop.example/files/{NAME}",
        "",
    ],
)
def test_an_address_of_elsewhere_has_no_sizes(src):
    assert own_picture(src) is None
    assert sizes_of(src) == []
    assert srcset_of(src) == ""


@pytest.mark.parametrize(
    "text", ["", "..", "../../etc/passwd", f"{NAME}/..", f"{NAME}.jpg", "a" * 300, f"{NAME}\n"]
)
def test_what_has_not_the_form_of_a_name_is_none(text):
    assert read_name(text) is None


def test_a_key_stays_where_the_folder_is():
    assert ".." not in NAME.key
    assert NAME.key == f"pictures/{NAME.digest[:2]}/{NAME.digest}.jpg"


@pytest.mark.parametrize("url", ["file:", "file:///srv/files", "s3://bucket", "s3://bucket/a/prefix"])
def test_a_folder_and_a_bucket_keep_files(url):
    assert load_settings({"STOREFRONT_FILES_URL": url}).files_url == url


@pytest.mark.parametrize("url", ["file://host/files", "files", "s3://", "https://bucket", "file:relative"])
def test_an_address_that_keeps_no_files_is_named(url):
    with pytest.raises(SettingsError, match="STOREFRONT_FILES_URL"):
        load_settings({"STOREFRONT_FILES_URL": url})


def test_files_are_in_the_data_folder_by_default():
    assert Settings().files_url == "file:"
