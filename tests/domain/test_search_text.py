"""How a query becomes a text search query: words joined, synonyms, and the last word as a beginning."""

from itertools import product

import pytest

from app.db.reads import Reads
from app.domain.catalogue.search_text import match, match_leading, search_text
from app.domain.catalogue.word_hits import way_of

SAME = (("torch", "flashlight"), ("rubber boots", "wellies"))


def test_two_neighbours_are_also_looked_for_as_one_word():
    found = search_text(["head", "lamp"], "en")
    assert found.arguments == (
        "storefront_english",
        "head & lamp | headlamp",
        "head & lamp:* | headlamp:*",
        "head",
        "lamp:*",
        "",
    )


def test_any_word_may_suffice():
    assert search_text(["head", "lamp"], "xx", joined=" | ").stemmed == "head | lamp | headlamp"


def test_an_amount_is_also_looked_for_apart_from_its_unit():
    found = search_text(["65l", "pack"], "en")
    assert found.stemmed == "65l & pack | 65lpack | 65 & l & pack"
    assert " l " not in found.written
    assert search_text(["sku", "65l", "x"], "en").leading == ""


def test_many_words_are_not_joined():
    assert "ab" not in search_text(["a", "b", "c", "d", "e"], "en").stemmed


@pytest.mark.parametrize(
    ("words", "stemmed"),
    [
        (["torch"], "(torch | flashlight)"),
        (["torches"], "(torches | torch | flashlight)"),
        (["wellies"], "(wellies | rubber & boots)"),
        (["rubber", "boot"], "(rubber & boot | rubber & boots | wellies) | rubberboot"),
        (["boots"], "boots"),
        (["red", "torch"], "red & (torch | flashlight) | redtorch"),
    ],
)
def test_a_word_or_phrase_stands_for_all_that_means_the_same(words, stemmed):
    assert search_text(words, "en", synonyms=SAME).stemmed == stemmed


def test_what_is_typed_stays_a_beginning_whatever_it_means():
    assert search_text(["torch"], "en", synonyms=SAME).written == "torch:*"


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("c", "letters"),
        ("42", "letters"),
        ("cap", "usual"),
        ("tent 2", "usual"),
        ("nlg trn clay", "usual"),
        ("nlg trn 2", "leading"),
        ("nlg trn 2per clay 7", "leading"),
    ],
)
def test_the_last_letters_say_how_words_are_looked_for(words, way):
    assert way_of(words.split(), search_text(words.split(), "en")) == way


def test_where_other_words_would_do_none_leads():
    assert search_text(["red", "torch", "x"], "en", synonyms=SAME).leading == ""
    assert search_text(["red", "lamp", "x"], "en", joined=" | ").leading == ""


async def test_whatever_fits_all_words_fits_those_that_lead(reads: Reads):
    texts = [
        " ".join(words) for words in product(("red", "reds", "ab", "abx", "x9", "xtra", "redab"), repeat=3)
    ]
    sql = f"""
        WITH asked AS (SELECT {match(1)} AS query, {match_leading(1)} AS led)
        SELECT count(*) FILTER (WHERE doc @@ query) AS fit, count(*) FILTER (WHERE doc @@ query AND NOT doc @@ led)
            AS lost FROM asked, unnest($7::text[]) AS t (text),
            LATERAL (SELECT to_tsvector('storefront_simple', text) || to_tsvector('storefront_english', text) AS doc) d
    """
    for words in (["red", "ab", "x"], ["reds", "ab", "x", "x"], ["red", "red", "ab", "ab", "x"]):
        row = await reads.fetchrow(sql, *search_text(words, "en").arguments, texts)
        assert row["fit"] > 0
        assert row["lost"] == 0
