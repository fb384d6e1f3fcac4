"""How a query becomes a text search query: words joined, synonyms, and the last word as a beginning."""

import pytest

from app.domain.catalogue.search_text import search_text

SAME = (("torch", "flashlight"), ("rubber boots", "wellies"))


def test_two_neighbours_are_also_looked_for_as_one_word():
    found = search_text(["head", "lamp"], "en")
    assert found.arguments == (
        "storefront_english",
        "head & lamp | headlamp",
        "head & lamp:* | headlamp:*",
        "head",
        "lamp:*",
    )


def test_any_word_may_suffice():
    assert search_text(["head", "lamp"], "xx", joined=" | ").stemmed == "head | lamp | headlamp"


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
