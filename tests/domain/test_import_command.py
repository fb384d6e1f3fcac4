"""What `storefront import products` and `storefront apply` print, and with which status they end."""

import asyncio
from uuid import uuid4

import pytest
from click.testing import CliRunner

from app.cli import main
from app.cli.import_ import line_spans
from tests.domain.product_files import csv_bytes

HEADER = ("Handle", "Title", "Variant SKU", "Variant Price")


@pytest.fixture
def run(database_url, tmp_path):
    async def invoke(*arguments: str, content: bytes):
        path = tmp_path / "file"
        path.write_bytes(content)
        environ = {"DATABASE_URL": database_url, "STOREFRONT_DATA_DIR": str(tmp_path / "data")}
        runner = CliRunner(env=environ)
        result = await asyncio.to_thread(runner.invoke, main, [*arguments, str(path)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def importing(run, store):
    async def invoke(content: bytes, *options: str):
        return await run("import", "products", "--store", store.code, *options, content=content)

    return invoke


async def test_a_clean_file_ends_with_0_and_a_second_run_says_that_nothing_changed(importing):
    content = csv_bytes(HEADER, ("mug", "Mug", "M", "5"))
    first = await importing(content)
    assert (first.exit_code, "Products: 1 made" in first.stdout) == (0, True)
    again = await importing(content)
    assert again.exit_code == 0
    assert "Products: 1 unchanged" in again.stdout
    assert "Nothing was changed" in again.stdout


async def test_rows_left_out_are_named_and_end_with_1(importing):
    result = await importing(csv_bytes(HEADER, ("mug", "Mug", "M", "5"), ("pot", "Pot", "P", "a lot")))
    assert result.exit_code == 1
    assert "error: line 3, pot, Variant Price = 'a lot'" in result.stderr
    assert "Products: 1 made" in result.stdout
    assert "1 errors" not in result.stdout


async def test_a_file_that_is_none_ends_with_2(importing):
    result = await importing(b"Handle;Title\nmug;Mug\n")
    assert (result.exit_code, "semicolons" in result.stderr) == (2, True)


async def test_an_unknown_store_is_named(run):
    result = await run("import", "products", "--store", "nowhere", content=csv_bytes(HEADER))
    assert (result.exit_code, "nowhere" in result.stderr) == (1, True)


async def test_the_same_warning_is_shown_a_few_times_and_then_counted(importing):
    rows = [(f"mug-{n}", "Mug", "M", "5", "x") for n in range(30)]
    result = await importing(csv_bytes((*HEADER, "Variant Inventory Tracker"), *rows))
    assert result.stderr.count("this tracker is not known") == 6
    assert "25 more" in result.stderr


async def test_the_same_error_on_many_rows_is_said_once_with_its_lines(importing):
    header = (*HEADER, "Image Src")
    good = [(f"mug-{n}", "Mug", "M", "5", f"https://a.example/{n}.jpg") for n in range(300)]
    assert (await importing(csv_bytes(header, *good))).exit_code == 0
    bad = [(*row[:4], f"demo:{n}.svg") for n, row in enumerate(good)]
    result = await importing(csv_bytes(header, *bad))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 6
    assert "line 2, mug-0, Image Src = 'demo:0.svg': only the demo shop" in result.stderr
    assert "error: 295 more of Image Src, lines 7-301: only the demo shop" in result.stderr
    assert "300 products keep the pictures that stood in the shop" in result.stdout
    assert "300 errors" in result.stdout


def test_lines_that_stand_apart_are_named_up_to_a_few():
    assert line_spans([9]) == "line 9"
    assert line_spans([3, 4, 5, 9]) == "lines 3-5, 9"
    assert line_spans(range(1, 41, 2)) == "lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23 and 8 others"


async def test_apply_tells_each_change_and_then_that_there_is_none(run):
    content = f'[store]\ncode = "cli-{uuid4().hex[:8]}"\nname = "Hut"\n'.encode()
    first = await run("apply", content=content)
    assert (first.exit_code, "created in USD" in first.stdout) == (0, True)
    again = await run("apply", content=content)
    assert (again.exit_code, again.stdout) == (0, "Nothing to change.\n")


async def test_apply_names_an_unknown_key(run):
    result = await run("apply", content=b"[store]\nnmae = 'Hut'\n")
    assert (result.exit_code, "unknown key `nmae`" in result.stderr) == (1, True)


async def test_apply_lists_all_faults(run):
    content = b'[[tax_rates]]\ncountry = "XX"\nname = "T"\nrate = "1.23456"\n'
    result = await run("apply", content=content)
    assert result.exit_code == 1
    assert 'tax_rates "XX T", country: ' in result.stderr
    assert 'tax_rates "XX T", rate: ' in result.stderr
