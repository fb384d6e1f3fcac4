"""The bracket fold against an independent implementation, and what it refuses."""

import contextlib

import qs_codec
from hypothesis import given
from hypothesis import strategies as st

from app.api.forms import fold, parse_pairs
from app.kit.errors import Invalid

words = st.text("abcxyz_é ", min_size=1, max_size=6).filter(lambda text: text.strip() == text)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
values = st.recursive(
    texts,
    # qs-codec merges lists that stand in lists; none of our calls has such
    lambda inner: (
        st.lists(inner.filter(lambda item: not isinstance(item, list)), min_size=1, max_size=4)
        | st.dictionaries(words, inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


def flatten(value, name):
    """The well-formed spelling of a nested value, with numbers for lists."""
    if isinstance(value, dict):
        return [pair for key, child in value.items() for pair in flatten(child, f"{name}[{key}]")]
    if isinstance(value, list):
        return [pair for index, child in enumerate(value) for pair in flatten(child, f"{name}[{index}]")]
    return [(name, value)]


@given(st.dictionaries(words, values, max_size=4))
def test_what_is_written_with_brackets_is_read_back_and_qs_codec_agrees(tree):
    pairs = [pair for name, value in tree.items() for pair in flatten(value, name)]
    deep = any(name.count("[") > 5 for name, _ in pairs)
    if deep:
        return
    assert fold(pairs) == tree
    encoded = qs_codec.encode(tree)
    assert fold(parse_pairs(encoded.encode())) == tree
    assert qs_codec.decode(encoded) == tree


@given(words, st.lists(texts, min_size=2, max_size=8))
def test_repeats_and_empty_brackets_are_lists_in_order(name, items):
    assert fold([(name, item) for item in items]) == {name: items}
    assert fold([(f"{name}[]", item) for item in items]) == {name: items}


@given(st.lists(st.tuples(st.text("ab[]01", max_size=8), texts), max_size=8))
def test_any_names_end_in_values_or_a_refusal(pairs):
    with contextlib.suppress(Invalid):
        assert isinstance(fold(pairs), dict)


def test_numbers_out_of_order_are_put_in_order():
    assert fold([("a[2]", "c"), ("a[0]", "a"), ("a[1]", "b")]) == {"a": ["a", "b", "c"]}
    assert fold([("a[x]", "1"), ("a[0]", "2")]) == {"a": {"x": "1", "0": "2"}}
