"""Sets of bits beside plain lists: ranges and ends of prices, pages in every order, words where there are many."""

from random import Random

from app.domain.catalogue import bitmaps
from app.domain.catalogue.bitmap_counts import _frequent
from app.domain.catalogue.bitmaps import (
    Catalogue,
    Prices,
    Word,
    bits_of,
    hits_of,
    page_by_places,
    page_by_price,
    places_of,
)


def test_prices_between_two_and_their_ends_are_those_of_a_plain_list():
    dice = Random(1)
    for count in (1, 2, 63, 64, 65, 500):
        plain = [dice.randrange(300) for _ in range(count)]
        prices = Prices(plain, range(count))
        for _ in range(50):
            least, most = dice.choice((None, dice.randrange(320))), dice.choice((None, dice.randrange(320)))
            fits = {
                place
                for place, price in enumerate(plain)
                if (least is None or price >= least) and (most is None or price <= most)
            }
            assert set(places_of(prices.between(least, most))) == fits, (count, least, most)
            some = dice.sample(range(count), dice.randint(0, count))
            ends = (min(plain[at] for at in some), max(plain[at] for at in some)) if some else None
            assert prices.ends(bits_of(some)) == ends


def catalogue(dice: Random, products: int) -> Catalogue:
    """Products with one to three variants at random prices; nothing else is said of them."""
    counts = sorted((dice.randint(1, 3) for _ in range(products)), reverse=True)
    ids = dice.sample(range(10_000, 90_000), products)
    slots = [sum(count > slot for count in counts) for slot in range(3)]
    return Catalogue(
        products=ids,
        place_of={each: place for place, each in enumerate(ids)},
        variants=[[slot * 100_000 + place for place in range(size)] for slot, size in enumerate(slots)],
        whole={slot: (1 << size) - 1 for slot, size in enumerate(slots)},
        facets={},
        sold_out={},
        prices=[Prices([dice.randrange(50) for _ in range(size)], ids) for size in slots],
        types=(),
        vendors=(),
        tags=(),
        options=(),
    )


def test_pages_have_each_product_once_as_its_first_variant_that_fits(monkeypatch):
    dice = Random(2)
    for case in range(40):
        # Few hits are sorted, of many the cheapest are looked for.
        monkeypatch.setattr(bitmaps, "MOST_SORTED", case % 2 * 1000)
        made = catalogue(dice, dice.randint(1, 60))
        fits = {slot: bits & dice.getrandbits(60) for slot, bits in made.whole.items()}
        shown: dict[int, tuple[int, int, int]] = {}
        for slot in (2, 1, 0):
            for place in places_of(fits[slot]):
                price = made.prices[slot].by_place[place]
                shown[place] = (price, made.products[place], made.variants[slot][place])
        hits = hits_of(fits)
        assert hits.total == len(shown)
        skip, size = dice.randint(0, 70), dice.randint(1, 20)
        order = dice.sample(range(len(made.products)), len(made.products))
        expected = [shown[place][2] for place in order if place in shown][skip : skip + size]
        assert page_by_places(made, hits, order, skip=skip, size=size) == expected
        for down in (False, True):
            priced = [variant for _, _, variant in sorted(shown.values(), reverse=down)]
            page = page_by_price(made, hits, down=down, skip=skip, size=size)
            assert page == priced[skip : skip + size]


def test_of_many_words_the_most_frequent_are_told_in_their_own_order():
    dice = Random(3)
    for _ in range(30):
        bits = [dice.getrandbits(200) & dice.getrandbits(200) for _ in range(60)]
        words = [Word(f"w{rank}", "", each, each.bit_count(), rank) for rank, each in enumerate(bits)]
        among = dice.getrandbits(200)
        counts = {word.rank: (word.bits & among).bit_count() for word in words}
        expected = sorted(sorted(filter(counts.get, counts), key=lambda rank: (-counts[rank], rank))[:10])
        found = _frequent(sorted(words, key=lambda word: -word.total), among, 10)
        assert [(word.rank, count) for word, count in found] == [(rank, counts[rank]) for rank in expected]
