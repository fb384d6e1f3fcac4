"""How pictures come into a shop: `storefront files add`, and products whose images are files beside the list."""

import asyncio
import json
from io import BytesIO

import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import text

from app.cli import main
from app.domain.files.names import own_picture
from app.integrations.files import files_folder
from app.settings import Settings
from tests.canaries import SECRET_KEY
from tests.domain.product_files import csv_bytes


def drawn(color: str, *, width=700, form="JPEG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, 350), color).save(out, form)
    return out.getvalue()


@pytest.fixture
def run(database_url, tmp_path):
    async def invoke(*arguments: str):
        environ = {
            "DATABASE_URL": database_url,
            "STOREFRONT_DATA_DIR": str(tmp_path / "data"),
            "STOREFRONT_PUBLIC_URL": "https://shop.example",
            "STOREFRONT_SECRET_KEY": SECRET_KEY,
        }
        result = await asyncio.to_thread(CliRunner(env=environ).invoke, main, [*arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures" / "mugs").mkdir(parents=True)
    (tmp_path / "pictures" / "mugs" / "red.jpg").write_bytes(drawn("red"))
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG and no more")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


async def test_pictures_are_kept_and_their_addresses_told_and_faults_named(run, folder, tmp_path):
    first = await run("files", "add", str(folder))
    assert first.exit_code == 1
    assert "broken.png: This is no picture that can be used" in first.stderr
    (line,) = first.stdout.splitlines()
    path, _, address = line.partition("\t")
    assert path.endswith("mugs/red.jpg")
    base, name = own_picture(address)
    assert (base, name.width, name.height) == ("https://shop.example", 700, 350)
    assert name.is_signed([SECRET_KEY])
    kept = files_folder(Settings(data_dir=tmp_path / "data")) / name.key
    assert kept.read_bytes().startswith(b"\xff\xd8")
    again = await run("files", "add", str(folder / "mugs" / "red.jpg"))
    assert (again.exit_code, again.stdout.partition("\t")[2]) == (0, f"{address}\n")


async def documents(sessions, store) -> list[dict]:
    async with sessions() as session:
        kept = await session.scalar(
            text("SELECT images FROM product_documents WHERE store_id = :store"), {"store": store.id}
        )
    return json.loads(kept)


async def test_images_of_a_product_file_may_be_files_of_a_folder(run, folder, tmp_path, sessions, store):
    listed = tmp_path / "products.csv"
    listed.write_bytes(
        csv_bytes(
            ("Handle", "Title", "Variant SKU", "Variant Price", "Image Src", "Image Position"),
            ("mug", "Mug", "M", "5", "mugs/red.jpg", "1"),
            ("mug", "", "", "", "https://cdn.example/files/mug.jpg?v=2", "2"),
        )
    )
    command = ("import", "products", "--store", store.code, "--pictures", str(folder), str(listed))
    result = await run(*command)
    assert result.exit_code == 0, result.output
    assert "broken.png: This is no picture" in result.stderr
    own, elsewhere = await documents(sessions, store)
    assert own["src"].startswith("https://shop.example/files/")
    assert (own["width"], own["height"]) == (700, 350)
    assert [size["width"] for size in own["sizes"]] == [160, 320, 640]
    assert own["srcset"].endswith(" 700w")
    assert elsewhere["src"] == "https://cdn.example/files/mug.jpg?v=2"
    assert elsewhere.keys() & {"sizes", "srcset"} == set()
    again = await run(*command)
    assert "Nothing was changed" in again.stdout


async def test_without_the_folder_a_path_is_no_image(run, tmp_path, store):
    listed = tmp_path / "products.csv"
    listed.write_bytes(
        csv_bytes(("Handle", "Title", "Variant Price", "Image Src"), ("mug", "Mug", "5", "mugs/red.jpg"))
    )
    result = await run("import", "products", "--store", store.code, str(listed))
    assert result.exit_code == 1
    assert "an image is an address" in result.stderr
