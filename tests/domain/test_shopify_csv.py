"""How product files are read: both vocabularies, exact money, and each fault with its line and column."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.domain.catalogue.csv_columns import FileError, read_columns
from app.domain.catalogue.import_products import Assembler
from app.domain.catalogue.import_rows import ImportRow, make_handle
from app.domain.catalogue.shopify_csv import MAX_CELL, open_table
from tests.domain.product_files import csv_bytes, read_rows, table_bytes

HEADER = ("Handle", "Title", "Option1 Name", "Option1 Value", "Variant Price")


def one_cell(name: str, value: str, *, currency: str = "USD"):
    rows, told = read_rows(
        csv_bytes((*HEADER, name), ("mug", "Mug", "Size", "S", "5", value)), currency=currency
    )
    return rows[0], told


def assemble(content: bytes):
    rows, told = read_rows(content)
    assembler = Assembler(open_table_columns(content))
    return assembler.assemble(rows), [*told, *assembler.issues]


def open_table_columns(content: bytes):
    return read_columns(content.decode().splitlines()[0].split(","))


def test_both_vocabularies_mean_the_same():
    older = table_bytes(
        """
        Handle | Title | Body (HTML) | Published | Variant SKU | Variant Grams | Variant Inventory Policy | Variant Price | Image Src
        mug    | Mug   | <p>Hi</p>   | true      | M-1         | 145           | deny                     | 5.50          | https://cdn.example/a.jpg
        """
    )
    newer = table_bytes(
        """
        title | URL HANDLE | description | Published on online store | sku | weight value (grams) | Continue selling when out of stock | price | Product image URL
        Mug   | mug        | <p>Hi</p>   | TRUE                      | M-1 | 145                  | DENY                               | 5.50  | https://cdn.example/a.jpg
        """
    )
    assert read_rows(older) == read_rows(newer)
    assert read_rows(older)[0][0].variant.price == 550


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("25", "USD", 2500), ("0.00", "USD", 0), ("19.99", "USD", 1999), (".5", "USD", 50), ("1200", "JPY", 1200),
     ("1.234", "KWD", 1234)],
)  # fmt: skip
def test_money_is_exact_in_the_stores_currency(text, currency, minor):
    row, told = one_cell("Variant Compare At Price", text, currency=currency)
    assert row.variant.compare_at_price == minor
    assert told == []


@pytest.mark.parametrize(
    ("text", "currency"),
    [("19.999", "USD"), ("19.990", "USD"), ("12.50", "JPY"), ("$5", "USD"), ("1,50", "USD"), ("-1", "USD"),
     ("1e3", "USD"), ("NaN", "USD"), ("٣", "USD"), ("999999999999999", "USD"), ("5.", "USD")],
)  # fmt: skip
def test_what_is_no_amount_is_an_error_of_its_row(text, currency):
    row, told = one_cell("Variant Compare At Price", text, currency=currency)
    assert row.variant is None
    assert row.product is not None
    assert [(i.level, i.line, i.handle, i.column, i.value) for i in told] == [
        ("error", 2, "mug", "Variant Compare At Price", text)
    ]


def test_a_blank_price_is_an_error_and_never_zero():
    rows, told = read_rows(csv_bytes(HEADER, ("mug", "Mug", "Size", "S", "")))
    assert rows[0].variant is None
    assert [(i.level, i.column) for i in told] == [("error", "Variant Price")]


def test_a_row_with_an_image_but_no_option_and_no_price_is_an_image_only():
    rows, told = read_rows(
        csv_bytes((*HEADER, "Image Src"), ("mug", "Mug", "Size", "S", "5", "http://a.example/1.jpg"),
                  ("mug", "", "", "", "", "http://a.example/2.jpg"))
    )  # fmt: skip
    assert rows[1].variant is None
    assert rows[1].image.src == "http://a.example/2.jpg"
    assert told == []


@pytest.mark.parametrize("name", ["Variant SKU", "Variant Barcode"])
def test_one_apostrophe_is_taken_off_codes(name):
    row, _ = one_cell(name, "  '0012'3 ")
    assert (row.variant.sku, row.variant.barcode)[name == "Variant Barcode"] == "0012'3"


@pytest.mark.parametrize("value", ["3.65275E+11", "3,65E+11", "4e12"])
def test_a_barcode_that_a_spreadsheet_mangled_is_dropped_and_the_row_loads(value):
    row, told = one_cell("Variant Barcode", value)
    assert row.variant.barcode == ""
    assert [(i.level, i.column, i.value) for i in told] == [("warning", "Variant Barcode", value)]


def test_absent_columns_differ_from_blank_cells():
    row, _ = one_cell("Vendor", "")
    assert row.product.vendor == ""
    assert row.product.body_html is UNSET
    assert row.variant.sku is UNSET


@pytest.mark.parametrize(
    ("name", "value"),
    [("Published", "yes"), ("Status", "hidden"), ("Gift Card", "2")],
)
def test_a_fault_of_the_product_leaves_the_product_out_and_says_where(name, value):
    row, told = one_cell(name, value)
    assert row.product is None
    assert [(i.column, i.value) for i in told] == [(name, value)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("Variant Inventory Qty", "1.5"), ("Variant Inventory Qty", "99999999999"), ("Variant Grams", "heavy"),
     ("Variant Inventory Policy", "maybe"), ("Variant Taxable", "no"), ("Variant SKU", "x" * 1001)],
)  # fmt: skip
def test_a_fault_of_the_variant_leaves_only_the_variant_out(name, value):
    row, told = one_cell(name, value)
    assert (row.variant, row.product.title) == (None, "Mug")
    assert [(i.level, i.column) for i in told] == [("error", name)]


@pytest.mark.parametrize("src", ["ftp://a.example/x.jpg", "//a.example/x", "data:image/png;base64,AA", "a b"])
def test_an_image_is_an_http_address(src):
    row, told = one_cell("Image Src", src)
    assert row.image is None
    assert row.variant is not None
    assert row.picture_lost
    assert [(i.level, i.column) for i in told] == [("error", "Image Src")]


def test_a_variant_whose_picture_cannot_be_used_loads_without_it():
    row, told = one_cell("Variant Image", "javascript:alert(1)")
    assert row.variant.image is UNSET
    assert row.picture_lost
    assert [(i.level, i.column) for i in told] == [("error", "Variant Image")]


def test_the_demo_catalogues_own_scheme_is_named_as_that():
    _, told = one_cell("Image Src", "demo:mug.svg")
    assert "only the demo shop has pictures under demo:" in told[0].message


@pytest.mark.parametrize(
    ("name", "value"), [("Variant Inventory Tracker", "shipwire"), ("Variant Fulfillment Service", "amazon")]
)
def test_an_unknown_tracker_or_service_is_a_warning_and_kept(name, value):
    row, told = one_cell(name, value)
    assert value in (row.variant.inventory_management, row.variant.fulfillment_service)
    assert [(i.level, i.column) for i in told] == [("warning", name)]


def test_negative_stock_is_kept_and_flagged():
    row, told = one_cell("Variant Inventory Qty", "-118")
    assert row.variant.quantity == -118
    assert [i.level for i in told] == ["warning"]


def test_alt_text_without_an_address_is_ignored_with_a_note():
    rows, told = read_rows(
        csv_bytes((*HEADER, "Image Src", "Image Alt Text"), ("mug", "Mug", "Size", "S", "5", "", "A mug"))
    )
    assert rows[0].image is None
    assert [(i.level, i.column) for i in told] == [("note", "Image Alt Text")]


def test_markup_that_runs_is_cleaned_away():
    body = '<p onclick="x()">Hi<script>alert(1)</script><style>p{}</style><a href="javascript:x">a</a><iframe src="//e"></iframe></p>'
    row, _ = one_cell("Body (HTML)", body)
    cleaned = row.product.body_html
    assert cleaned.startswith("<p>Hi")
    for word in ("script", "onclick", "style", "iframe", "alert"):
        assert word not in cleaned


def test_tags_are_split_trimmed_and_named_once():
    row, _ = one_cell("Tags", " camping, Wool ,, camping,CAMPING")
    assert row.product.tags == ["camping", "Wool"]


def test_market_columns_are_read_for_any_name():
    header = (*HEADER, "Included / Moon base", "Price / Moon base", "Compare-at price / Moon base")
    rows, told = read_rows(csv_bytes(header, ("mug", "Mug", "Size", "S", "5", "TRUE", "7.5", "")))
    market = rows[0].variant.markets["Moon base"]
    assert (market.included, market.price, market.compare_at_price) == (True, 750, None)
    assert told == []


def test_metafields_and_shopping_columns_are_kept_by_key():
    header = (*HEADER, "Colour (product.metafields.shopify.color-pattern)", "Google Shopping / Gender")
    rows, _ = read_rows(csv_bytes(header, ("mug", "Mug", "Size", "S", "5", "green; gray", "unisex")))
    assert rows[0].product.metafields == {"shopify.color-pattern": "green; gray", "google.gender": "unisex"}


def test_unknown_columns_are_a_warning_each():
    _, told = read_rows(csv_bytes((*HEADER, "Mood", ""), ("mug", "Mug", "Size", "S", "5", "x", "")))
    assert [(i.level, i.column) for i in told] == [
        ("warning", "Mood"),
        ("warning", "(column 7 without a name)"),
    ]


def test_a_handle_that_a_path_word_hides_gets_a_number():
    rows, told = read_rows(csv_bytes(HEADER, ("Search", "Search", "", "", "5")), hidden=["search"])
    assert rows[0].handle == "search-1"
    assert [i.level for i in told] == ["note"]


@pytest.mark.parametrize("handle", ["a b", "café", "a.b", "a/b", "-a", "x" * 1001])
def test_a_handle_with_other_signs_is_an_error(handle):
    rows, told = read_rows(csv_bytes(HEADER, (handle, "Mug", "", "", "5")))
    assert rows == []
    assert [(i.level, i.column) for i in told] == [("error", "Handle")]


def test_without_a_handle_one_is_made_from_the_title():
    rows, _ = read_rows(csv_bytes(HEADER, ("", "Crème & Sugar's", "", "", "5")))
    assert rows[0].handle == make_handle("Crème & Sugar's") == "creme-sugars"


@given(st.text(max_size=40))
def test_a_made_handle_is_always_a_handle(title):
    handle = make_handle(title)
    assert handle == make_handle(handle)
    assert all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in handle)


def test_line_numbers_count_lines_inside_quoted_cells():
    header = (*HEADER, "Body (HTML)")
    content = csv_bytes(header, ("a", "A", "", "", "1", "x\ny\nz"), ("b", "B", "", "", "oops", ""))
    _, told = read_rows(content)
    assert [(i.line, i.handle) for i in told] == [(5, "b")]


# Rows of one handle.


def test_equal_options_of_one_product_are_an_error_of_the_later_row():
    product, told = assemble(
        table_bytes(
            """
            Handle | Title | Option1 Name | Option1 Value | Variant Price
            mug    | Mug   | Size         | S             | 5
            mug    |       |              | S             | 6
            """
        )
    )
    assert [variant.cells.price for variant in product.variants] == [500]
    assert [(i.level, i.line, i.column, i.value) for i in told] == [("error", 3, "Option1 Value", "S")]


def test_a_variant_needs_a_value_for_each_option():
    product, told = assemble(
        table_bytes(
            """
            Handle | Title | Option1 Name | Option1 Value | Option2 Name | Option2 Value | Variant Price
            mug    | Mug   | Size         | S             | Color        | Red           | 5
            mug    |       |              | M             |              |               | 5
            """
        )
    )
    assert len(product.variants) == 1
    assert [(i.line, i.column) for i in told] == [(3, "Option2 Value")]


def test_images_are_placed_by_position_else_by_row():
    product, _ = assemble(
        table_bytes(
            """
            Handle | Title | Variant Price | Image Src            | Image Position | Image Alt Text
            mug    | Mug   | 5             | http://a.example/2   | 2              |
            mug    |       |               | http://a.example/x   |                | last
            mug    |       |               | http://a.example/1   | 1              | first
            mug    |       |               | http://a.example/2   | 7              | again
            """
        )
    )
    assert [(image.position, image.src[-1], image.alt) for image in product.images] == [
        (1, "1", "first"), (2, "2", ""), (3, "x", "last"),
    ]  # fmt: skip


def test_a_handle_without_any_title_is_an_error():
    product, told = assemble(csv_bytes(HEADER, ("mug", "", "Size", "S", "5")))
    assert product is None
    assert [(i.level, i.column) for i in told] == [("error", "Title")]


# Hostile files.


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"mug,Mug,Size,S,5\n", "Title"),
        (b"Handle;Title;Variant Price\nmug;Mug;5\n", "semicolons"),
        (b"Handle\tTitle\tVariant Price\nmug\tMug\t5\n", "tabs"),
        (b"Handle,Title,Title\nmug,Mug,Mug\n", "same"),
        (b"Handle,Title,Body (HTML),Description\nmug,Mug,a,b\n", "same"),
        ("Handle,Title\nmug,Mug\n".encode("utf-16"), "UTF-8"),
        (b"Handle,Title\0\nmug,Mug\n", "UTF-8"),
        (b'"Handle,Title\nmug,Mug\n', "first line"),
        (b"PK\x03\x04\x14\x00\x06\x00", "UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_product_file_is_refused_with_the_reason(content, word):
    with pytest.raises(FileError, match=word):
        read_rows(content)


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    rows, told = read_rows(b"\xef\xbb\xbf" + csv_bytes(HEADER, ("mug", "Mug", "", "", "5")))
    assert rows[0].handle == "mug"
    assert told == []


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_any_line_ending_will_do(ending):
    rows, _ = read_rows(csv_bytes(HEADER, ("mug", "Mug", "", "", "5")).replace(b"\n", ending))
    assert [row.handle for row in rows] == ["mug"]


def good_rows_around(bad: bytes) -> tuple[list[ImportRow], list]:
    header = b"Handle,Title,Variant Price,Vendor\n"
    return read_rows(header + b"a,A,1,V\n" + bad + b"\nz,Z,2,V\n")


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        (b"m,M\xff,1,V", "Title"),
        (b"m,M,1,\xc3", "Vendor"),
        (b"m,M\0,1,V", "Title"),
        (b"m,M,1,V,extra", ""),
        (b"m,M", ""),
        (b'm,"M"x,1,V', ""),
        (b"m,M,1," + b"x" * (MAX_CELL + 1), ""),
    ],
)
def test_an_unreadable_row_is_reported_with_its_line_and_the_rest_loads(bad, column):
    rows, told = good_rows_around(bad)
    assert [row.handle for row in rows] == ["a", "z"]
    assert [(i.level, i.line, i.column) for i in told] == [("error", 3, column)]


def test_a_quote_that_never_closes_is_reported_where_it_opens():
    rows, told = read_rows(b'Handle,Title,Variant Price\na,A,1\nb,"B,1\nc,C,1\n')
    assert [row.handle for row in rows] == ["a"]
    assert [(i.level, i.line) for i in told] == [("error", 3)]


def test_blank_rows_are_passed_over():
    rows, told = read_rows(b"Handle,Title,Variant Price\n,,\na,A,1\n\n , ,\n")
    assert [row.handle for row in rows] == ["a"]
    assert told == []


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fall(content):
    try:
        rows, _ = read_rows(b"Handle,Title,Variant Price\n" + content)
    except FileError:
        return
    assert all(row.handle for row in rows)


def test_weights_are_exact():
    row, _ = one_cell("Variant Grams", "226.796185")
    assert row.variant.grams == Decimal("226.7962")


def test_a_file_is_read_as_it_is_walked(tmp_path):
    path = tmp_path / "products.csv"
    path.write_bytes(csv_bytes(HEADER, *[(f"p-{n}", "P" * 200, "", "", "5") for n in range(2000)]))
    with path.open("rb") as source:
        table = open_table(source)
        next(table.rows)
        assert 0 < table.position() < path.stat().st_size / 4
