"""Keys of options and values that tell names of all scripts apart, and what variants have of them."""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

# How names were and are folded, as it was when this was written: what the application does later is its own.
_NO_WORD = re.compile(r"[^a-z0-9]+")
_PLAIN = re.compile(r"[a-z0-9]+")
_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ħ": "h",
        "\u0131": "i",
    }
)
_SIGNS = {"+": "plus", "-": "minus", "\u2212": "minus", "<": "under", ">": "over", "≤": "to", "≥": "from"}
_SIGN = re.compile(r"[<>≤≥]|(?<![^\s(])[-\u2212](?=\d)|(?<!\S)\+(?=\w)|(?<=[\w+])\+(?![^\s+)])")
# Other names have the key that they had.
_ODD = r"name ~ '[^ -~]' OR name ~ '[<>+]' OR name ~ '(^|[ (])-[0-9]'"
_CHUNK = 5000
_FACETS = """
    UPDATE variants v SET facets = had.facets
    FROM (
        SELECT x.store_id, x.variant_id, array_agg(DISTINCT o.key || '=' || w.key COLLATE "C") AS facets
        FROM variant_values x
        JOIN product_options o ON o.store_id = x.store_id AND o.id = x.option_id
        JOIN option_values w ON w.store_id = x.store_id AND w.id = x.value_id
        WHERE (o.name, w.name) <> ('Title', 'Default Title') AND EXISTS (
            SELECT FROM variant_values y
            JOIN product_options p ON p.store_id = y.store_id AND p.id = y.option_id
            JOIN option_values u ON u.store_id = y.store_id AND u.id = y.value_id
            WHERE y.store_id = x.store_id AND y.variant_id = x.variant_id
                AND (p.id = ANY(:options) OR u.id = ANY(:values))
        )
        GROUP BY x.store_id, x.variant_id
    ) had
    WHERE v.store_id = had.store_id AND v.id = had.variant_id AND v.facets <> had.facets
"""


def upgrade() -> None:
    _fold_anew(_new_key)


def downgrade() -> None:
    _fold_anew(_old_key)


def _fold_anew(fold) -> None:
    connection = op.get_bind()
    changed = {}
    for table in ("product_options", "option_values"):
        query = f"SELECT id, name, key FROM {table} WHERE {_ODD} ORDER BY id"  # noqa: S608 - names of ours
        rows = connection.execute(sa.text(query)).all()
        wanted = [(row.id, fold(row.name)) for row in rows if fold(row.name) != row.key]
        for start in range(0, len(wanted), _CHUNK):
            ids, keys = zip(*wanted[start : start + _CHUNK], strict=True)
            _write(connection, table, list(ids), list(keys))
        changed[table] = [row_id for row_id, _ in wanted]
    if changed["product_options"] or changed["option_values"]:
        connection.execute(
            sa.text(
                "UPDATE option_values w SET option_key = o.key FROM product_options o"
                " WHERE o.store_id = w.store_id AND o.id = w.option_id AND o.id = ANY(:options)"
                " AND w.option_key <> o.key"
            ).bindparams(sa.bindparam("options", type_=sa.ARRAY(sa.BigInteger))),
            {"options": changed["product_options"]},
        )
        facets = sa.text(_FACETS).bindparams(
            sa.bindparam("options", type_=sa.ARRAY(sa.BigInteger)),
            sa.bindparam("values", type_=sa.ARRAY(sa.BigInteger)),
        )
        connection.execute(
            facets, {"options": changed["product_options"], "values": changed["option_values"]}
        )


def _write(connection, table, ids, keys) -> None:
    statement = sa.text(
        f"UPDATE {table} t SET key = n.key FROM unnest(:ids, :keys) AS n (id, key) WHERE t.id = n.id"  # noqa: S608 - as above
    ).bindparams(
        sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger)), sa.bindparam("keys", type_=sa.ARRAY(sa.Text))
    )
    connection.execute(statement, {"ids": ids, "keys": keys})


def _old_key(name):
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return _NO_WORD.sub("-", plain.lower()).strip("-") or name.strip().lower()


def _new_key(name):
    key = _folded(name)
    while (again := _folded(key)) != key:
        key = again
    return key


def _folded(name):
    key = ""
    spelled = _SIGN.sub(lambda sign: f" {_SIGNS[sign[0]]} ", name)
    for char in unicodedata.normalize("NFC", spelled.lower()).translate(_LETTERS):
        key += _part(char, key[-1:])
    return "-".join(part for part in key.split("-") if part) or name.strip().lower()


def _part(char, before):
    plain = "".join(one if one.isascii() else " " for one in unicodedata.normalize("NFKD", char))
    latin = "-".join(_PLAIN.findall(plain.lower()))
    if latin:
        return f"-{latin}" if "-" in latin else latin
    if unicodedata.category(char).startswith("M"):
        return "" if before.isascii() else char
    return unicodedata.normalize("NFKC", char) if char.isalnum() else "-"
