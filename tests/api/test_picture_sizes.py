"""Pictures of the shop's own over HTTP: kinds, sizes, signatures, bounds, and that work is done once."""

import asyncio
import contextlib
import os
import threading
from io import BytesIO

import pytest
from PIL import Image

from app.domain.files.names import WIDTHS, name_picture
from app.integrations import files as files_module
from app.integrations import picture_sizes
from app.integrations.disk_cache import DiskCache
from app.integrations.files import create_files, files_folder
from app.integrations.picture_sizes import PictureSizes
from app.integrations.pictures import resize_picture
from app.kit.errors import Unavailable
from app.settings import Settings
from tests.canaries import SECRET_KEY
from tests.shop import running_shop, settings_for
from tests.standins.s3 import running_bucket
from tests.standins.silent import silent_server

PAGE = "image/avif,image/webp,image/apng,*/*;q=0.8"


def drawn(width=1000, height=750, form="JPEG") -> bytes:
    out = BytesIO()
    gradient = Image.linear_gradient("L").resize((width, height))
    Image.merge("RGB", (gradient, gradient, gradient)).save(out, form)
    return out.getvalue()


async def being_made(sizes: PictureSizes, count: int) -> None:
    """Come back once so many sizes are in the making."""
    async with asyncio.timeout(5):
        while True:
            if len(sizes._making) == count:
                return
            await asyncio.sleep(0)


class Shop:
    def __init__(self, client, settings):
        self.client, self.settings, self.files = client, settings, create_files(settings)

    async def keep(self, content=None, *, kind="jpg", width=1000, height=750):
        content = content or drawn(width, height, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[kind])
        name = name_picture(content, width=width, height=height, kind=kind, secret=self.settings.secret_key)
        await self.files.put(name.key, content)
        return name

    async def get(self, path, **headers):
        return await self.client.get(path, headers={"Accept": "*/*", **headers})


@pytest.fixture(scope="module")
async def shop(database_url, redis_url, tmp_path_factory):
    """One for all tests: who counts how often a size is made, or takes a picture away, has one of their own."""
    folder = tmp_path_factory.mktemp("shop")
    settings = settings_for(database_url, redis_url, STOREFRONT_DATA_DIR=str(folder))
    async with running_shop(settings) as client:
        yield Shop(client, settings)


async def test_a_picture_comes_as_it_is_kept_and_may_be_kept_forever(shop):
    name = await shop.keep()
    answer = await shop.get(f"/files/{name}")
    assert answer.status_code == 200
    assert answer.content == drawn()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    again = await shop.get(f"/files/{name}", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("width", WIDTHS)
async def test_each_width_comes_in_proportion_and_never_larger_than_the_picture(shop, width):
    name = await shop.keep()
    answer = await shop.get(f"/images/{width}/{name}")
    shown = Image.open(BytesIO(answer.content))
    assert shown.size == (min(width, 1000), min(width * 3 // 4, 750))
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("kind", "accept", "form", "media"),
    [
        ("jpg", PAGE, None, "image/webp"),
        ("jpg", "*/*", None, "image/jpeg"),
        ("png", "image/png, image/webp;q=0", None, "image/png"),
        ("png", "*/*", None, "image/png"),
        ("webp", "*/*", None, "image/jpeg"),
        ("webp", "IMAGE/WEBP", None, "image/webp"),
        ("jpg", PAGE, "jpeg", "image/jpeg"),
        ("jpg", "*/*", "webp", "image/webp"),
        ("jpg", PAGE, "png", "image/png"),
    ],
)
async def test_the_kind_is_what_the_reader_reads_or_asks_for(shop, kind, accept, form, media):
    name = await shop.keep(kind=kind)
    path = f"/images/160/{name}" + (f"?format={form}" if form else "")
    answer = await shop.get(path, Accept=accept)
    assert answer.headers["content-type"] == media
    assert Image.open(BytesIO(answer.content)).get_format_mimetype() == media
    # Between reader and shop, only what was chosen for the reader must be told apart by it.
    assert answer.headers.get("vary") == (None if form else "Accept")
    again = await shop.get(path, Accept=accept, **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_signature_that_the_shop_did_not_make_finds_nothing(shop):
    name = await shop.keep()
    forged = name_picture(drawn(), width=1000, height=750, kind="jpg", secret="guess" * 10)
    assert forged.key == name.key
    assert (await shop.get(f"/images/320/{name}")).status_code == 200
    assert (await shop.get(f"/images/320/{forged}")).status_code == 404
    wider = str(name).replace("1000x750", "9000x750")
    for path in (f"/images/320/{wider}", f"/images/320/{str(name).replace('.jpg', '.png')}"):
        assert (await shop.get(path)).status_code == 404


@pytest.mark.parametrize(
    "width", ["0", "-160", "161", "1e3", "99999999999999999999", "0160", "160.0", "%31%36%30x", "a", "١٦٠"]
)
async def test_only_the_listed_widths_are_made(shop, width):
    answer = await shop.get(f"/images/{width}/{await shop.keep()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/files/..%2f..%2fdevelopment-secret", "/files/%2e%2e", "/files/pictures", "/files/%00",
        "/images/160/..%2f..%2f..%2fetc%2fpasswd", "/images/160/%2e%2e%2fmade", "/images/..%2f/x", "/files/",
    ],
)  # fmt: skip
async def test_nothing_outside_the_pictures_can_be_asked_for(shop, path):
    (shop.settings.data_dir / "development-secret").write_text("secret")
    answer = await shop.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_an_unknown_format_is_named(shop):
    answer = await shop.get(f"/images/160/{await shop.keep()}?format=tiff")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "format"


async def test_a_file_that_is_no_picture_is_said_so_and_is_no_failure_of_ours(shop):
    name = await shop.keep(b"not a picture", width=1000, height=750)
    answer = await shop.get(f"/images/160/{name}")
    assert (answer.status_code, answer.json()["code"]) == (422, "picture_unusable")


async def test_a_picture_that_is_gone_is_a_404(shop):
    name = await shop.keep(drawn(1001), width=1001)
    (files_folder(shop.settings) / name.key).unlink()
    for path in (f"/files/{name}", f"/images/160/{name}"):
        assert (await shop.get(path)).status_code == 404


async def test_twenty_who_ask_at_once_have_it_made_once(shop, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return resize_picture(*arguments)

    monkeypatch.setattr(picture_sizes, "resize_picture", counted)
    name = await shop.keep(drawn(1002), width=1002)
    answers = await asyncio.gather(*(shop.get(f"/images/640/{name}") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(calls) == 1
    await shop.get(f"/images/640/{name}")
    assert len(calls) == 1


async def test_two_processes_that_want_the_same_make_it_once(tmp_path, monkeypatch):
    made, both, company = [], threading.Barrier(2), threading.Barrier(2)

    def resize(*_) -> bytes:
        made.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            company.wait(0.5)  # leaves the other one time to come here as well, which it must not
        return b"small"

    monkeypatch.setattr(picture_sizes, "resize_picture", resize)
    settings = Settings(data_dir=tmp_path, secret_keys=(SECRET_KEY,))
    files = create_files(settings)
    name = name_picture(b"large", width=900, height=900, kind="jpg", secret=SECRET_KEY)
    await files.put(name.key, b"large")
    two = [PictureSizes(files, tmp_path / "pictures", most_bytes=10**6) for _ in range(2)]
    alone = PictureSizes._alone

    def at_once(self, key):
        both.wait(5)
        return alone(self, key)

    monkeypatch.setattr(PictureSizes, "_alone", at_once)
    assert await asyncio.gather(*(one.find(name, 160, "jpg") for one in two)) == [b"small"] * 2
    assert made == [1]
    for one in two:
        await one.close()


async def test_more_than_may_wait_are_told_to_come_again(tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(picture_sizes, "resize_picture", lambda *_: go_on.wait(5) and b"small")
    files = create_files(Settings(data_dir=tmp_path))
    sizes = PictureSizes(files, tmp_path / "pictures", most_bytes=10**6, most_waiting=3)
    name = name_picture(b"large", width=2000, height=900, kind="jpg", secret=SECRET_KEY)
    await files.put(name.key, b"large")
    waiting = [asyncio.create_task(sizes.find(name, width, "jpg")) for width in (160, 320, 640)]
    await being_made(sizes, 3)
    with pytest.raises(Unavailable) as refused:
        await sizes.find(name, 960, "jpg")
    assert refused.value.retry_after > 0
    # One who asks for what is being made costs nothing.
    waiting.append(asyncio.create_task(sizes.find(name, 160, "jpg")))
    go_on.set()
    assert await asyncio.gather(*waiting) == [b"small"] * 4
    assert await sizes.find(name, 960, "jpg") == b"small"
    await sizes.close()


async def test_one_who_hangs_up_leaves_the_work_to_the_others(tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(picture_sizes, "resize_picture", lambda *_: go_on.wait(5) and b"small")
    files = create_files(Settings(data_dir=tmp_path))
    sizes = PictureSizes(files, tmp_path / "pictures", most_bytes=10**6)
    name = name_picture(b"large", width=2000, height=900, kind="jpg", secret=SECRET_KEY)
    await files.put(name.key, b"large")
    first, second = (asyncio.create_task(sizes.find(name, 160, "jpg")) for _ in range(2))
    await being_made(sizes, 1)
    first.cancel()
    go_on.set()
    assert await second == b"small"
    await sizes.close()


def test_what_was_not_asked_for_longest_leaves_the_cache_first(tmp_path):
    cache = DiskCache(tmp_path / "made", most_bytes=1000)
    for number in range(10):
        cache.put(f"{number}", b"x" * 100)
        os.utime(tmp_path / "made" / f"{number}", (number, number))
    assert cache.get("0") == b"x" * 100  # and is marked as wanted just now
    cache.put("new", b"x" * 100)
    left = {path.name for path in (tmp_path / "made").iterdir()}
    assert left == {"0", *"23456789", "new"}
    assert sum(path.stat().st_size for path in (tmp_path / "made").iterdir()) <= 1000


def test_a_disk_that_takes_nothing_costs_time_only(tmp_path):
    (tmp_path / "made").write_text("no folder")
    cache = DiskCache(tmp_path / "made", most_bytes=1000)
    cache.put("a", b"x")
    assert cache.get("a") is None


async def test_a_bucket_keeps_files_as_a_folder_does(database_url, redis_url, tmp_path):
    async with running_bucket(access_key="AKTEST") as (bucket, endpoint):
        settings = settings_for(
            database_url,
            redis_url,
            STOREFRONT_DATA_DIR=str(tmp_path),
            STOREFRONT_FILES_URL="s3://shop/some/prefix",
            S3_ENDPOINT_URL=endpoint,
            AWS_ACCESS_KEY_ID="AKTEST",
            AWS_SECRET_ACCESS_KEY="not much of a secret",
        )
        async with running_shop(settings) as client:
            shop = Shop(client, settings)
            name = await shop.keep()
            assert bucket.kept == {f"shop/some/prefix/{name.key}": drawn()}
            assert (await shop.get(f"/files/{name}")).content == drawn()
            assert (await shop.get(f"/images/160/{name}")).status_code == 200
            bucket.away = True
            answer = await shop.get(f"/files/{name}")
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
            # A size that was made is here, whatever becomes of the bucket.
            assert (await shop.get(f"/images/160/{name}")).status_code == 200
            assert (await shop.get(f"/images/320/{name}")).status_code == 503
            bucket.away = False
            bucket.kept.clear()
            assert (await shop.get(f"/files/{name}")).status_code == 404


async def test_a_file_beyond_the_bound_is_not_read(tmp_path):
    files = create_files(Settings(data_dir=tmp_path))
    await files.put("large", b"x" * 101)
    assert await files.get("large", most=100) is None
    assert await files.get("large", most=101) == b"x" * 101


async def test_a_bucket_that_says_nothing_is_not_waited_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "CALL_SECONDS", 0.3)
    async with silent_server() as port:
        settings = Settings(
            data_dir=tmp_path,
            files_url="s3://shop",
            s3_endpoint_url=f"http://127.0.0.1:{port}",
            s3_access_key_id="a",
            s3_secret_access_key="b",
        )
        with pytest.raises(Unavailable):
            await asyncio.wait_for(create_files(settings).get("a"), 10)
