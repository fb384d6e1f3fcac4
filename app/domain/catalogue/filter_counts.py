"""How many products of a shelf each filter value leads to.

What is counted is what the shelf pages: products. A dimension's own choice is left aside when its values are
counted, since choosing another of them adds to it: so each count is that of the list after one more tick in an
empty dimension. Values that lead to nothing are left out.

Variants share few sets of option values, so conditions on options are judged once for each set, and products
are counted by the sets that their variants have, never value by value.
"""
# ruff: noqa: S608 - every part is written here; values travel as parameters

from functools import lru_cache
from typing import Final

from app.domain.catalogue.filtering import TAGS, TYPES, VENDORS, Shape, conditions

# Names of parameters that are no option; an option of this name is asked for as filter_by[...][].
RESERVED: Final = (
    "expand", "page", "after", "offset", "limit", "per-page", "order_by", "order_type", "search", "q",
    "types", "vendors", "tags", "price_from", "price_to", "availability", "filter_by", "currency",
)  # fmt: skip
# Of tags and vendors the most frequent are told.
MOST_WORDS: Final = 100
_PLAIN: Final = ", ".join(f"'{name}'" for name in RESERVED)


def _misses(tests: list[tuple[str, str]]) -> tuple[str, str]:
    """How many of the tests fail, and what the first that fails is called."""
    if not tests:
        return "0", "NULL"
    count = " + ".join(f"CAST(NOT ({test}) AS integer)" for _, test in tests)
    first = " ".join(f"WHEN NOT ({test}) THEN {name}" for name, test in tests)
    return count, f"CASE {first} END"


def _both(*tests: str) -> str:
    return " AND ".join(f"({test})" for test in tests if test) or "true"


@lru_cache(maxsize=256)
def counts_sql(withs: str, shape: Shape, place: int) -> str:
    """The statement whose answer is the filters of `members`, products that withs defines, as a JSON array.

    The values of the shape begin at $place; after them come the keys of the options asked for.
    """
    asked = conditions(shape, place)
    keys = f"CAST(${asked.next} AS text[])"
    set_misses, set_missed = _misses(
        [(str(at), test.format(f="f")) for at, test in enumerate(asked.options, 1)]
    )
    product_misses, product_missed = _misses([(f"'{name}'", test) for name, test in asked.product.items()])
    available = {None: "", True: "s.variant_id IS NULL", False: "s.variant_id IS NOT NULL"}[shape.available]
    bought = _both(asked.price, available)
    missed_facet = f"starts_with(u.facet, ({keys})[f.missed] || '=')" if asked.options else "false"
    # The sets of `counted` are looked up by key (OFFSET 0): nothing tells PostgreSQL how many there are, and it would
    # read all sets again for each group of products that are alike.
    words = f"ORDER BY count DESC, key LIMIT {MOST_WORDS}"
    return f"""
    WITH RECURSIVE {withs},
    sets AS MATERIALIZED (
        SELECT f.id, f.facets, {set_misses} AS misses, {set_missed} AS missed
        FROM facet_sets f WHERE f.store_id = $1
    ),
    looked AS MATERIALIZED (
        SELECT v.product_id,
            array_agg(v.facet_set_id) FILTER (WHERE f.misses <= 1 AND {bought}) AS sets,
            bool_or(f.misses = 0 AND {bought}) AS fits,
            bool_or(f.misses = 0 AND {_both(asked.price, "s.variant_id IS NULL")}) AS in_stock,
            bool_or(f.misses = 0 AND {_both(asked.price, "s.variant_id IS NOT NULL")}) AS sold_out,
            min(v.price) FILTER (WHERE f.misses = 0 AND {_both(available)}) AS least,
            max(v.price) FILTER (WHERE f.misses = 0 AND {_both(available)}) AS most
        FROM members m
        JOIN variants v ON v.store_id = $1 AND v.product_id = m.product_id AND v.listed
        JOIN sets f ON f.id = v.facet_set_id
        LEFT JOIN stock_items s ON s.store_id = $1 AND s.variant_id = v.id AND NOT s.available
        GROUP BY v.product_id
    ),
    judged AS MATERIALIZED (
        SELECT looked.*, p.type_id, p.vendor, p.tags, {product_misses} AS misses, {product_missed} AS missed
        FROM looked JOIN products p ON p.store_id = $1 AND p.id = looked.product_id
    ),
    alike AS MATERIALIZED (
        SELECT row_number() OVER () AS no, sets, count(*) AS products, min(product_id) AS sample
        FROM judged WHERE misses = 0 AND sets IS NOT NULL GROUP BY sets
    ),
    counted AS (
        SELECT has.facet, sum(has.products) AS products, min(has.sample) AS sample
        FROM (
            SELECT DISTINCT a.no, a.products, a.sample, u.facet FROM alike a
            CROSS JOIN LATERAL unnest(a.sets) AS own (id)
            CROSS JOIN LATERAL (
                SELECT f.facets, {set_misses} AS misses, {set_missed} AS missed
                FROM facet_sets f WHERE f.store_id = $1 AND f.id = own.id OFFSET 0
            ) f
            CROSS JOIN LATERAL unnest(f.facets) AS u (facet)
            WHERE f.misses = 0 OR {missed_facet}
        ) has
        GROUP BY has.facet
    ),
    named AS (
        SELECT word.*, counted.products, counted.sample
        FROM counted CROSS JOIN LATERAL (
            SELECT o.key, o.name, w.key AS value_key, w.name AS value, w.position
            FROM product_options o JOIN option_values w ON w.store_id = o.store_id AND w.option_id = o.id
            WHERE o.store_id = $1 AND o.product_id = counted.sample AND o.key || '=' || w.key = counted.facet
            ORDER BY o.position, w.position LIMIT 1
        ) word
    ),
    options AS (
        SELECT key, (array_agg(name ORDER BY sample, name))[1] AS name, json_agg(json_build_object(
            'key', value_key, 'name', value, 'count', products) ORDER BY position, value) AS choices
        FROM named GROUP BY key
    ),
    types AS (
        SELECT t.id, t.name, count(*) AS count FROM judged JOIN product_types t ON t.store_id = $1 AND t.id = type_id
        WHERE fits AND (misses = 0 OR (misses = 1 AND missed = '{TYPES}')) GROUP BY t.id, t.name
    ),
    vendors AS (
        SELECT lower(name) AS key, min(name) AS name, sum(products) AS count FROM (
            SELECT vendor AS name, count(*) AS products FROM judged
            WHERE vendor <> '' AND fits AND (misses = 0 OR (misses = 1 AND missed = '{VENDORS}')) GROUP BY vendor
        ) said GROUP BY lower(name) {words}
    ),
    tags AS (
        SELECT key, min(name) AS name, sum(products) AS count FROM (
            SELECT own.key, min(own.name) AS name, said.products FROM (
                SELECT tags, count(*) AS products FROM judged
                WHERE fits AND (misses = 0 OR (misses = 1 AND missed = '{TAGS}')) GROUP BY tags
            ) said CROSS JOIN LATERAL (
                SELECT lower(tag) AS key, min(tag) AS name FROM unnest(said.tags) AS tag GROUP BY lower(tag)
            ) own GROUP BY own.key, said.tags, said.products
        ) found GROUP BY key {words}
    ),
    stock AS (
        SELECT count(*) FILTER (WHERE in_stock) AS in_stock, count(*) FILTER (WHERE sold_out) AS sold_out,
            min(least) AS least, max(most) AS most
        FROM judged WHERE misses = 0
    ),
    filters AS (
        SELECT 1 AS rank, name, json_build_object('kind', 'option', 'key', key, 'name', name, 'parameter',
            CASE WHEN key ~ '^[a-z0-9_-]+$' AND key NOT IN ({_PLAIN}) THEN key || '[]'
                ELSE 'filter_by[' || key || '][]' END, 'values', choices) AS filter FROM options
        UNION ALL
        SELECT 2, '', json_build_object('kind', 'types', 'key', 'types', 'name', 'Type', 'parameter', 'types[]',
            'values', json_agg(json_build_object('key', CAST(id AS text), 'name', name, 'count', count)
            ORDER BY name, id)) FROM types HAVING count(*) > 0
        UNION ALL
        SELECT 3, '', json_build_object('kind', 'vendors', 'key', 'vendors', 'name', 'Vendor',
            'parameter', 'vendors[]', 'values', json_agg(json_build_object(
            'key', key, 'name', name, 'count', count) ORDER BY key)) FROM vendors HAVING count(*) > 0
        UNION ALL
        SELECT 4, '', json_build_object('kind', 'tags', 'key', 'tags', 'name', 'Tag', 'parameter', 'tags[]',
            'values', json_agg(json_build_object('key', key, 'name', name, 'count', count) ORDER BY key))
        FROM tags HAVING count(*) > 0
        UNION ALL
        SELECT 5, '', json_build_object('kind', 'availability', 'key', 'availability', 'name', 'Availability',
            'parameter', 'availability', 'values', (
                SELECT json_agg(json_build_object('key', key, 'name', said, 'count', count) ORDER BY key)
                FROM (VALUES ('in_stock', 'In stock', in_stock), ('out_of_stock', 'Sold out', sold_out))
                    AS one (key, said, count) WHERE count > 0
            )) FROM stock WHERE in_stock > 0 OR sold_out > 0
        UNION ALL
        SELECT 6, '', json_build_object('kind', 'price', 'key', 'price', 'name', 'Price',
            'parameter', 'price_from', 'min', least, 'max', most, 'values', json_build_array())
        FROM stock WHERE least IS NOT NULL
    )
    SELECT convert_to(CAST(coalesce(json_agg(filter ORDER BY rank, name), '[]') AS text), 'UTF8') FROM filters
    """
