"""One search over products, pages and posts, what it tells of itself, and what others searched for."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from app.db.reads import Reads
from app.db.session import transaction
from app.db.versions import Versions
from app.domain.catalogue.service import save_products
from app.domain.content.service import ContentFile, PageDraft, PostDraft, apply_content
from app.domain.discovery import popular
from app.domain.discovery.popular import SearchTally, forget_queries, popular_queries, shown_query
from app.domain.stores import directory
from app.domain.stores.applying import apply_store
from app.domain.stores.plan import SearchPlan, StoreFile, StorePlan
from app.kit.clock import utc_now
from tests.api.catalogue_shop import Shelf, fill, simple
from tests.api.test_statements import known_version
from tests.conftest import make_store

NOW = utc_now()
TEXTS = ContentFile(
    posts=(
        PostDraft(
            "tent-night",
            "A Night in a Tent",
            content="<p>It <b>rained</b> &amp; blew: 3 &lt; 4, <i>all</i> night in the tent.</p>",
            tags=("camping",),
        ),
        PostDraft("kettles", "Which Kettle Whistles", excerpt="One does, near any tent."),
        PostDraft("tomorrow", "Tomorrow in a Tent", published_at=NOW + timedelta(days=1)),
        PostDraft("unseen", "Unseen Tent", visible=False),
    ),
    pages=(
        PageDraft("returns", "Shipping and Returns", content="<p>Send a tent back within 30 days.</p>"),
        PageDraft("hidden", "Hidden Tents", visible=False),
    ),
)


@pytest.fixture
async def shelf(client, sessions, store) -> Shelf:
    shelf = Shelf(client, store, await fill(sessions, store))
    async with transaction(sessions) as session:
        await apply_content(session, store.id, TEXTS, now=NOW)
    return shelf


async def look(shelf: Shelf, query: str, **params):
    return await shelf.json("/search", params={"search": query, **params})


async def shown(shelf: Shelf, query: str, **params) -> dict[str, list[str]]:
    answer = await look(shelf, query, **params)
    return {
        kind: [item.get("slug") or item["handle"] for item in answer[kind]["items"]]
        for kind in ("products", "pages", "blog_posts")
        if kind in answer
    }


async def test_products_pages_and_posts_are_found_at_once(shelf):
    answer = await look(shelf, "tent")
    assert (answer["search"], answer["noResults"]) == ("tent", False)
    assert await shown(shelf, "tent") == {
        "products": ["ridge-tent", "squall-jacket"],
        "pages": ["returns"],
        "blog_posts": ["tent-night", "kettles"],
    }
    assert answer["blog_posts"]["_meta"]["totalCount"] == 2


async def test_a_type_narrows_and_leaves_the_others_out(shelf):
    assert await shown(shelf, "tent", type="blogs") == {"blog_posts": ["tent-night", "kettles"]}
    assert await shown(shelf, "tent", type="pages") == {"pages": ["returns"]}
    assert list(await shown(shelf, "tent", type="products")) == ["products"]
    assert (await shelf.get("/search", params={"search": "tent", "type": "secret"})).status_code == 422


async def test_each_kind_has_the_page_that_is_asked_for(shelf):
    answer = await look(shelf, "tent", page=2, **{"per-page": 1})
    assert [item["handle"] for item in answer["products"]["items"]] == ["squall-jacket"]
    assert [item["slug"] for item in answer["blog_posts"]["items"]] == ["kettles"]
    assert answer["pages"]["items"] == []
    assert answer["pages"]["_meta"] == {"totalCount": 1, "pageCount": 1, "currentPage": 2, "perPage": 1}
    assert answer["noResults"] is False


@pytest.mark.parametrize("query", ["qzxvjkwq", "!!!", "\x01", "unseen hidden tomorrow"])
async def test_nothing_found_is_said(shelf, query):
    answer = await look(shelf, query)
    assert answer["noResults"] is True
    assert answer["search"] == query
    assert [answer[kind]["items"] for kind in ("products", "pages", "blog_posts")] == [[], [], []]


@pytest.mark.parametrize("query", ["", "x" * 201, "a\x00b"])
async def test_a_query_out_of_bounds_is_refused(shelf, query):
    assert (await shelf.get("/search", params={"search": query})).status_code == 422
    assert (await shelf.get("/search")).status_code == 422


async def test_a_mistyped_word_is_mended_for_all_kinds(shelf):
    assert await shown(shelf, "kettel") == {"products": ["kettle"], "pages": [], "blog_posts": ["kettles"]}


async def test_a_mistyped_word_that_only_a_text_has_is_mended(shelf):
    assert await shown(shelf, "shiping") == {"products": [], "pages": ["returns"], "blog_posts": []}
    assert await shown(shelf, "whisltes") == {"products": [], "pages": [], "blog_posts": ["kettles"]}
    assert (await shown(shelf, "rianed"))["blog_posts"] == ["tent-night"]


async def test_an_error_that_once_stood_in_a_title_or_stands_in_a_draft_is_mended_like_any(shelf, sessions):
    async with transaction(sessions) as session:
        for title in ("Storm Lantren", "Storm Lantern"):
            lamp = simple("storm-lantern", title, 4900)
            await save_products(session, shelf.store.id, [lamp], now=NOW)
        draft = simple("whistle", "Storm Whislte", 900, status="draft")
        await save_products(
            session, shelf.store.id, [draft, simple("pea-whistle", "Pea Whistle", 900)], now=NOW
        )
    for query, found in (
        ("lantren", ["storm-lantern"]),
        ("whislte", ["pea-whistle"]),
        ("storm lantren", ["storm-lantern"]),
    ):
        assert (await shown(shelf, query, type="products"))["products"] == found, query


async def test_texts_of_another_store_are_not_found(shelf, sessions):
    other = await make_store(sessions)
    answer = await Shelf(shelf.client, other, {}).json("/search", params={"search": "tent"})
    assert answer["noResults"] is True


async def test_a_changed_text_is_found_by_its_new_words(shelf, sessions):
    changed = ContentFile(pages=(PageDraft("returns", "Sending Back", content="<p>A parcel will do.</p>"),))
    async with transaction(sessions) as session:
        await apply_content(session, shelf.store.id, changed, now=NOW)
    assert (await shown(shelf, "parcel"))["pages"] == ["returns"]
    assert (await shown(shelf, "shipping"))["pages"] == []


async def test_highlights_mark_what_matched_and_nothing_else_is_markup(shelf):
    answer = await look(shelf, "tent", expand="highlights")
    post = answer["blog_posts"]["items"][0]["highlights"]
    assert post["title"] == "A Night in a <mark>Tent</mark>"
    assert "<mark>tent</mark>" in post["body"]
    assert "3 &lt; 4" in post["body"]
    assert "<" not in post["body"].replace("<mark>", "").replace("</mark>", "")
    assert answer["products"]["items"][0]["highlights"]["title"] == "Ridge <mark>Tent</mark>"
    found = await shelf.json("/products/search?q=tent&expand=highlights,options")
    assert found["items"][0]["highlights"]["title"] == "Ridge <mark>Tent</mark>"
    assert found["items"][0]["options"]


async def test_markup_in_a_title_stays_text_in_its_highlight(shelf, sessions):
    draft = PageDraft("odd", "<script>x</script> & <mark>bell</mark>")
    async with transaction(sessions) as session:
        await apply_content(session, shelf.store.id, ContentFile(pages=(draft,)), now=NOW)
    answer = await look(shelf, "bell", type="pages", expand="highlights")
    title = answer["pages"]["items"][0]["highlights"]["title"]
    assert title == "&lt;script&gt;x&lt;/script&gt; &amp; &lt;mark&gt;<mark>bell</mark>&lt;/mark&gt;"


async def test_what_sells_comes_first_among_what_fits_as_well(shelf, sessions):
    first = (await shown(shelf, "rust"))["products"]
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE products SET sold = 50 WHERE store_id = :store AND handle = :handle"),
            {"store": shelf.store.id, "handle": first[-1]},
        )
    assert (await shown(shelf, "rust"))["products"] == [first[-1], *first[:-1]]


async def apply(sessions, store, *, language: str = "en", **sections) -> list[str]:
    async with transaction(sessions) as session:
        file = StoreFile(store=StorePlan(code=store.code, language=language), **sections)
        return (await apply_store(session, file, currency_is_free=False))[1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("boiler", ["kettle"]),
        ("boilers", ["kettle"]),
        ("basecamp boiler", ["kettle"]),
        ("foul weather coat", ["squall-jacket"]),
        ("rust foul weather coat", ["squall-jacket"]),
        ("jacket", ["squall-jacket"]),
    ],
)
async def test_words_that_mean_the_same_find_the_same(client, sessions, store, query, found):
    shelf = Shelf(client, store, await fill(sessions, store))
    assert len(await apply(sessions, store, search=SearchPlan(
        synonyms=[["Kettle", "boiler"], ["jacket", "Foul-weather coat"]]
    ))) == 1  # fmt: skip
    assert (await shown(shelf, query))["products"] == found
    products = await shelf.json("/products/search", params={"q": query})
    assert [item["handle"] for item in products["items"]] == found
    variants = await shelf.json("/products/variants", params={"search": query})
    assert {item["handle"] for item in variants["items"]} == set(found)


@pytest.mark.parametrize(
    ("query", "most"), [("tent", 1), ("kettel", 2), ("unicorn tnet", 2), ("kettel jakcet", 3), ("!!!", 0)]
)
async def test_one_search_is_one_statement_and_a_mended_one_three_at_most(shelf, monkeypatch, query, most):
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)  # what a store is set to is not what is counted
    monkeypatch.setattr(Versions, "get", known_version)
    await look(shelf, "tent")
    statements = 0
    original = Reads._run

    async def counted(self, call):
        nonlocal statements
        statements += 1
        return await original(self, call)

    monkeypatch.setattr(Reads, "_run", counted)
    await look(shelf, query, expand="highlights")
    assert statements == most


FOREIGN = ContentFile(
    pages=(PageDraft("care", "Was möglich ist"), PageDraft("nation", "One Nation Under Canvas")),
    posts=(PostDraft("houses", "Häuser an der Straße", content="<p>Gießen im Café.</p>"),),
)


@pytest.mark.parametrize(
    ("language", "query", "found"),
    [
        # Forms that only the grammar of one language knows to be the same word.
        ("de", "Möglichkeiten", ["care"]),
        ("en", "Möglichkeiten", []),
        ("en", "nationally", ["nation"]),
        ("de", "nationally", []),
        # Accents count in no language.
        *((language, query, ["houses"]) for language in ("de", "en", "xx") for query in (
            "hauser", "HÄUSER", "strasse", "Straße Café", "giessen cafe",
        )),
    ],
)  # fmt: skip
async def test_the_language_of_the_store_says_which_forms_are_one_word(
    client, sessions, store, language, query, found
):
    await apply(sessions, store, language=language)
    async with transaction(sessions) as session:
        await apply_content(session, store.id, FOREIGN, now=NOW)
    answer = await shown(Shelf(client, store, {}), query)
    assert answer["pages"] + answer["blog_posts"] == found


# ---- what others searched for


async def told(shelf: Shelf) -> list[tuple[str, int]]:
    answer = await shelf.json("/search/popular")
    return [(item["query"], item["count"]) for item in answer["items"]]


async def test_frequent_queries_with_results_are_told_most_frequent_first(shelf):
    assert await told(shelf) == []
    for query in ("Tent", "tent ", "kettle", "tent", "qzxvjkwq", "unicorn kettle", "kettel"):
        await look(shelf, query)
    assert await told(shelf) == [("tent", 3), ("kettle", 2)]


async def test_later_pages_of_a_search_are_not_counted_again(shelf):
    await look(shelf, "tent")
    await look(shelf, "tent", page=2)
    assert await told(shelf) == [("tent", 1)]


async def test_what_stands_behind_the_words_that_are_looked_for_is_not_told(shelf):
    found = await look(shelf, "t " * 8 + "buy at evil.example")
    assert not found["noResults"]
    assert await told(shelf) == []


async def test_no_visitor_alone_says_what_is_popular(sessions, reads, store, monkeypatch):
    monkeypatch.setattr(popular, "MOST_OF_ONE", 3)
    tally = SearchTally(sessions, clock=lambda: NOW)
    for visitor in ("10.0.0.1",) * 50 + ("10.0.0.2", "10.0.0.3"):
        tally.note(store.id, "my own shop", visitor=visitor)
    for number in range(6):
        tally.note(store.id, "tent", visitor=f"10.0.1.{number}")
    await tally.close()
    answer = msgspec.json.decode(await popular_queries(reads, store.id, now=NOW))
    assert [(one["query"], one["count"]) for one in answer["items"]] == [("tent", 6), ("my own shop", 5)]


async def test_each_store_tells_its_own(shelf, sessions):
    await look(shelf, "tent")
    other = Shelf(shelf.client, await make_store(sessions), {})
    assert await told(other) == []


def test_a_counted_query_is_one_short_line_that_can_be_printed():
    assert shown_query("  Ridge\tTENT\n\x01\u202e ") == "ridge tent"
    assert shown_query("\x00\x1b") == ""
    assert len(shown_query("word " * 100)) <= popular.LONGEST_QUERY


async def test_only_recent_queries_are_told_and_older_ones_forgotten(sessions, reads, store, monkeypatch):
    monkeypatch.setattr(popular, "MOST_A_DAY", 1)
    for days, queries in ((40, ("old",)), (1, ("tent", "tent", "rare")), (0, ("kettle",))):
        tally = SearchTally(sessions, clock=lambda days=days: NOW - timedelta(days=days))
        for query in queries:
            tally.note(store.id, query, visitor="10.0.0.1")
        await tally.close()
    answer = await popular_queries(reads, store.id, now=NOW)
    assert b"old" not in answer
    assert b"rare" in answer
    await forget_queries(sessions, now=NOW)
    async with sessions() as session:
        left = await session.scalars(
            text("SELECT query FROM search_queries WHERE store_id = :id ORDER BY query"), {"id": store.id}
        )
        assert list(left) == ["kettle", "tent"]


async def test_a_tally_is_bounded_and_outlives_a_database_that_refuses(sessions, store, monkeypatch, caplog):
    monkeypatch.setattr(popular, "MOST_AT_ONCE", 3)
    tally = SearchTally(sessions, clock=lambda: NOW)
    for number in range(10):
        tally.note(store.id, f"query {number}", visitor="10.0.0.1")
    tally.note(store.id, "query 0", visitor="10.0.0.1")
    assert tally._counts == {(store.id, NOW.date(), f"query {n}"): 1 + (n == 0) for n in range(3)}
    await tally.close()
    lost = SearchTally(sessions, clock=lambda: NOW)
    lost.note(-1, "of no store", visitor="10.0.0.1")
    await lost.close()
    assert "1 queries are not counted" in caplog.text
