"""What stands in the ready-made JSON of products and variants, and how it is written.

A document holds what is the same for everyone and changes only when a merchant edits the product. Price,
availability and review figures are no part of its text: they are joined at read time (pieces.py).
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, CursorResult, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.catalogue.color_names import variant_colors
from app.domain.catalogue.coloring import put_colors, read_named_colors
from app.domain.catalogue.drafts import DEFAULT_TITLE, key_of
from app.domain.catalogue.pieces import READY_LEAD
from app.domain.catalogue.specifications import list_specifications, weight_in
from app.domain.files.names import own_picture, sizes_of, srcset_of
from app.kit.clock import isoformat

CHUNK: Final = 200


class SourceImage(msgspec.Struct, frozen=True):
    id: int
    uuid: UUID
    position: int
    src: str
    alt: str
    width: int | None
    height: int | None
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class SourceValue(msgspec.Struct, frozen=True):
    id: int
    name: str


class SourceOption(msgspec.Struct, frozen=True):
    id: int
    name: str
    position: int
    values: list[SourceValue]


class SourceVariant(msgspec.Struct, frozen=True):
    id: int
    title: str
    sku: str
    barcode: str
    grams: Decimal
    weight_unit: str
    taxable: bool
    requires_shipping: bool
    fulfillment_service: str
    inventory_management: str
    image_id: int | None
    seo_title: str
    seo_description: str
    created_at: datetime
    updated_at: datetime
    values: list[tuple[int, int]]
    colors: list[str]


class Source(msgspec.Struct, frozen=True):
    """A product with all that belongs to it, as it stands in the tables."""

    id: int
    handle: str
    title: str
    body_html: str
    vendor: str
    type: str
    type_id: int | None
    product_category: str
    tags: list[str]
    status: str
    published: bool
    published_at: datetime | None
    template_suffix: str
    published_scope: str
    seo_title: str
    seo_description: str
    metafields: dict[str, Any]
    related: list[int]
    created_at: datetime
    updated_at: datetime
    options: list[SourceOption]
    images: list[SourceImage]
    variants: list[SourceVariant]


class ProductText(msgspec.Struct, frozen=True):
    """The documents of one product; columns of product_documents."""

    product_id: int
    brief: str
    images: str
    options: str


class VariantText(msgspec.Struct, frozen=True):
    """The documents of one variant, and what lists and filters need of it beside its own columns."""

    variant_id: int
    core: str
    flat: str
    nested: str
    options: str
    specs_list: str
    specs_object: str
    page: str | None
    siblings: list[int] | None
    full_title: str
    facets: list[str]


_SOURCE: Final = text(
    """
    SELECT CAST(json_build_object(
        'id', p.id, 'handle', p.handle, 'title', p.title, 'body_html', p.body_html, 'vendor', p.vendor,
        'type', coalesce(t.name, ''), 'type_id', p.type_id, 'product_category', p.product_category,
        'tags', p.tags, 'status', p.status, 'published', p.published, 'published_at', p.published_at,
        'template_suffix', p.template_suffix, 'published_scope', p.published_scope,
        'seo_title', p.seo_title, 'seo_description', p.seo_description, 'metafields', p.metafields,
        'related', p.related, 'created_at', p.created_at, 'updated_at', p.updated_at,
        'options', (
            SELECT coalesce(json_agg(json_build_object(
                'id', o.id, 'name', o.name, 'position', o.position, 'values', (
                    SELECT coalesce(json_agg(json_build_object('id', w.id, 'name', w.name)
                        ORDER BY w.position, w.id), '[]')
                    FROM option_values w WHERE w.store_id = o.store_id AND w.option_id = o.id
                )) ORDER BY o.position), '[]')
            FROM product_options o WHERE o.store_id = p.store_id AND o.product_id = p.id
        ),
        'images', (
            SELECT coalesce(json_agg(json_build_object(
                'id', i.id, 'uuid', i.uuid, 'position', i.position, 'src', i.src, 'alt', i.alt,
                'width', i.width, 'height', i.height, 'tags', i.tags,
                'created_at', i.created_at, 'updated_at', i.updated_at) ORDER BY i.position, i.id), '[]')
            FROM product_images i WHERE i.store_id = p.store_id AND i.product_id = p.id
        ),
        'variants', (
            SELECT coalesce(json_agg(json_build_object(
                'id', v.id, 'title', v.title, 'sku', v.sku, 'barcode', v.barcode,
                'grams', CAST(v.grams AS text), 'weight_unit', v.weight_unit, 'taxable', v.taxable,
                'requires_shipping', v.requires_shipping, 'fulfillment_service', v.fulfillment_service,
                'inventory_management', v.inventory_management, 'image_id', v.image_id,
                'seo_title', v.seo_title, 'seo_description', v.seo_description,
                'created_at', v.created_at, 'updated_at', v.updated_at, 'colors', v.colors, 'values', (
                    SELECT coalesce(json_agg(json_build_array(x.option_id, x.value_id)), '[]')
                    FROM variant_values x WHERE x.store_id = v.store_id AND x.variant_id = v.id
                )) ORDER BY v.position, v.id), '[]')
            FROM variants v WHERE v.store_id = p.store_id AND v.product_id = p.id
        )
    ) AS text)
    FROM products p LEFT JOIN product_types t ON t.store_id = p.store_id AND t.id = p.type_id
    WHERE p.store_id = :store_id AND p.id = ANY(:ids) ORDER BY p.id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))

_PUT_PRODUCTS: Final = text(
    """
    INSERT INTO product_documents AS had (store_id, product_id, brief, images, options)
    SELECT :store_id, d.* FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS d (product_id bigint, brief text, images text, options text)
    ON CONFLICT (store_id, product_id) DO UPDATE SET brief = excluded.brief, images = excluded.images,
        options = excluded.options, updated_at = now()
    WHERE (had.brief, had.images, had.options) IS DISTINCT FROM (excluded.brief, excluded.images, excluded.options)
    """
)
# The variant is locked first, as by whoever sets its price: then its figures here are the newest.
_PUT_VARIANTS: Final = text(
    """
    INSERT INTO variant_documents AS had (store_id, variant_id, core, flat, nested, options, specs_list,
        specs_object, page, siblings, product_id, position, price, compare_at_price, sold)
    SELECT :store_id, d.*, v.product_id, v.position, v.price, v.compare_at_price, v.sold
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS d (variant_id bigint, core text, flat text, nested text, options text, specs_list text,
              specs_object text, page text, siblings bigint[])
    JOIN (
        SELECT * FROM variants WHERE store_id = :store_id AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
    ) v ON v.id = d.variant_id
    ON CONFLICT (store_id, variant_id) DO UPDATE SET core = excluded.core, flat = excluded.flat,
        nested = excluded.nested, options = excluded.options, specs_list = excluded.specs_list,
        specs_object = excluded.specs_object, page = excluded.page, siblings = excluded.siblings,
        product_id = excluded.product_id, position = excluded.position, price = excluded.price,
        compare_at_price = excluded.compare_at_price, sold = excluded.sold
    WHERE had IS DISTINCT FROM excluded
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


def shelves_sql(also: str) -> str:
    """What shelves show of products, as rows of shelf_documents; `also` says of which."""
    return f"""
        SELECT DISTINCT ON (d.store_id, d.product_id) d.store_id, d.product_id, d.variant_id, d.price,
            d.compare_at_price, d.sold, d.siblings, {READY_LEAD} AS item
        FROM variant_documents d WHERE d.page IS NOT NULL AND {also}
        ORDER BY d.store_id, d.product_id, d.position, d.variant_id
    """  # noqa: S608 - no value in it


_PUT_SHELVES: Final = text(
    f"""
    INSERT INTO shelf_documents AS had (store_id, product_id, variant_id, price, compare_at_price, sold, siblings, item)
    {shelves_sql("d.store_id = :store_id AND d.product_id = ANY(:ids)")}
    ON CONFLICT (store_id, product_id) DO UPDATE SET variant_id = excluded.variant_id, price = excluded.price,
        compare_at_price = excluded.compare_at_price, sold = excluded.sold, siblings = excluded.siblings,
        item = excluded.item
    WHERE had IS DISTINCT FROM excluded
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_DERIVE: Final = text(
    """
    UPDATE variants v SET listed = p.listed, type_id = p.type_id, full_title = d.full_title,
        facets = d.facets
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS d (variant_id bigint, full_title text, facets text[]),
        products p
    WHERE v.store_id = :store_id AND v.id = d.variant_id AND p.store_id = v.store_id AND p.id = v.product_id
      AND (v.listed, v.type_id, v.full_title, v.facets)
          IS DISTINCT FROM (p.listed, p.type_id, d.full_title, d.facets)
    """
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Source).decode


def _json(value: Any) -> str:
    return _encode(value).decode()


def _members(value: dict[str, Any]) -> str:
    """A JSON object without its braces, to be joined with others."""
    return _json(value)[1:-1]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else isoformat(moment)


def _image(product: Source, image: SourceImage, variant_id: int | None) -> dict[str, Any]:
    # The name of a picture of our own says how large it is, and which sizes there are; others stay as they came.
    own = own_picture(image.src)
    shown = {
        "id": image.id,
        "product_id": product.id,
        "uuid": str(image.uuid),
        "variant_id": variant_id,
        "position": image.position,
        "created_at": _time(image.created_at),
        "updated_at": _time(image.updated_at),
        "width": own[1].width if own else image.width,
        "height": own[1].height if own else image.height,
        "src": image.src,
        "alt": image.alt,
        "tags": image.tags,
    }
    if own:
        shown |= {"sizes": sizes_of(image.src), "srcset": srcset_of(image.src)}
    return shown


def _product_text(product: Source) -> ProductText:
    owners: dict[int, int] = {}
    for variant in product.variants:
        if variant.image_id is not None:
            owners.setdefault(variant.image_id, variant.id)
    brief = {
        "id": product.id,
        "title": product.title,
        "body_html": product.body_html,
        "vendor": product.vendor or None,
        "product_type": product.type,
        "product_type_id": product.type_id,
        "created_at": _time(product.created_at),
        "updated_at": _time(product.updated_at),
        "published_at": _time(product.published_at),
        "handle": product.handle,
        "template_suffix": product.template_suffix,
        "published_scope": product.published_scope,
        "product_category": product.product_category,
        "seo_title": product.seo_title,
        "seo_description": product.seo_description,
    }
    options = [
        {
            "id": option.id,
            "product_id": product.id,
            "name": option.name,
            "position": option.position,
            "values": [{"id": value.id, "name": value.name} for value in option.values],
        }
        for option in product.options
    ]
    images = [_image(product, image, owners.get(image.id)) for image in product.images]
    return ProductText(product.id, _members(brief), _json(images), _json(options))


def _page_fields(product: Source) -> dict[str, Any]:
    """What pages of collections and categories show beside."""
    first = product.images[0] if product.images else None
    return {
        "body_html": product.body_html,
        "additional_info": {
            "vendor": product.vendor,
            "product_type": product.type,
            "product_category": product.product_category,
        },
        "tags": product.tags,
        "media_extension": _extension(first.src) if first else "",
        "media_uuid": str(first.uuid) if first else "",
        "media_src": first.src if first else "",
        "public_title": product.title,
    }


def _extension(src: str) -> str:
    name = src.partition("?")[0].rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def _choices(product: Source, variant: SourceVariant) -> list[tuple[SourceOption, SourceValue]]:
    chosen = dict(variant.values)
    return [
        (option, value)
        for option in product.options
        for value in option.values
        if chosen.get(option.id) == value.id and (option.name, value.name) != ("Title", DEFAULT_TITLE)
    ]


def _variant_text(product: Source, variant: SourceVariant) -> VariantText:
    choices = _choices(product, variant)
    nameless = variant.title == DEFAULT_TITLE
    full_title = product.title if nameless else f"{product.title} - {variant.title}"
    own = next((image for image in product.images if image.id == variant.image_id), None)
    shown = own or (product.images[0] if product.images else None)
    image = _image(product, shown, variant.id) if shown else None
    core = {
        "id": variant.id,
        "product_id": product.id,
        "product_type_id": product.type_id,
        "sku": variant.sku,
        "url": f"/products/{product.handle}?variant={variant.id}",
        "fulfillment_service": variant.fulfillment_service,
        "inventory_management": variant.inventory_management or None,
        "created_at": _time(variant.created_at),
        "updated_at": _time(variant.updated_at),
        "taxable": variant.taxable,
        "barcode": variant.barcode,
        "grams": round(variant.grams),
        "inventory_item_id": variant.id,
        "weight": float(round(weight_in(variant.weight_unit, variant.grams), 4)),
        "weight_unit": variant.weight_unit,
        "requires_shipping": variant.requires_shipping,
        "seo_title": variant.seo_title or product.seo_title or None,
        "seo_description": variant.seo_description or product.seo_description or None,
        "image": image,
    }
    flat = {
        "title": full_title,
        "origin_title": product.title,
        "variant_title": variant.title,
        "handle": product.handle,
        "vendor": product.vendor or None,
        "product_type": product.type,
        "images": [image] if image else [],
    }
    options = [
        {
            "id": option.id,
            "variant_id": variant.id,
            "name": option.name,
            "value_id": value.id,
            "value_name": value.name,
        }
        for option, value in choices
    ]
    nested = {
        "title": variant.title,
        "options": options,
        "image_id": shown.id if shown else None,
        "related_products": product.related,
    }
    specs = list_specifications(
        sku=variant.sku,
        barcode=variant.barcode,
        vendor=product.vendor,
        choices=[(option.name, value.name) for option, value in choices],
        grams=variant.grams,
        unit=variant.weight_unit,
        metafields=product.metafields,
    )
    leads = variant is product.variants[0]
    return VariantText(
        variant_id=variant.id,
        core=_members(core),
        flat=_members(flat),
        nested=_members(nested),
        options=_json(options),
        specs_list=_json([{"key": key, **spec} for key, spec in specs.items()]),
        specs_object=_json(specs),
        page=_members(_page_fields(product)) if leads else None,
        siblings=[one.id for one in product.variants] if leads else None,
        full_title=full_title,
        facets=sorted({f"{key_of(option.name)}={key_of(value.name)}" for option, value in choices}),
    )


async def rebuild_documents(session: AsyncSession, store_id: int, product_ids: Sequence[int]) -> int:
    """Write the documents of products anew, and what their variants derive from them. Repeatable.

    Answers how many documents were not so already.
    """
    changed = 0
    ids = sorted(set(product_ids))
    named = await read_named_colors(session, store_id)
    for start in range(0, len(ids), CHUNK):
        found = await session.scalars(_SOURCE, {"store_id": store_id, "ids": ids[start : start + CHUNK]})
        sources = [_decode(row) for row in found]
        products = [_product_text(source) for source in sources]
        variants = [_variant_text(source, variant) for source in sources for variant in source.variants]
        for statement, rows in ((_PUT_PRODUCTS, products), (_PUT_VARIANTS, variants), (_DERIVE, variants)):
            if rows:
                values = {"store_id": store_id, "rows": _json(rows)}
                if statement is _PUT_VARIANTS:
                    values["ids"] = [variant.variant_id for variant in variants]
                done = cast("CursorResult[Any]", await session.execute(statement, values))
                changed += done.rowcount
        values = {"store_id": store_id, "ids": [source.id for source in sources]}
        done = cast("CursorResult[Any]", await session.execute(_PUT_SHELVES, values))
        changed += done.rowcount
        await put_colors(session, store_id, _said_colors(sources, named))
    return changed


async def rebuild_colors(session: AsyncSession, store_id: int) -> None:
    """Find the colours of all variants anew, after the store has named others."""
    named = await read_named_colors(session, store_id)
    query = text("SELECT id FROM products WHERE store_id = :store_id ORDER BY id")
    ids = list(await session.scalars(query, {"store_id": store_id}))
    for start in range(0, len(ids), CHUNK):
        found = await session.scalars(_SOURCE, {"store_id": store_id, "ids": ids[start : start + CHUNK]})
        await put_colors(session, store_id, _said_colors([_decode(row) for row in found], named))


def _said_colors(sources: Sequence[Source], named: dict[str, int]) -> dict[int, list[int]]:
    """By variant its colours."""
    return {
        variant.id: variant_colors(
            variant.colors,
            [(option.name, value.name) for option, value in _choices(source, variant)],
            named,
        )
        for source in sources
        for variant in source.variants
    }
