"""What a page tells of a variant in names and values."""

from decimal import Decimal

from app.domain.catalogue.specifications import list_specifications


def test_metafields_are_told_under_a_readable_name_and_hide_nothing_that_the_shop_knows():
    told = list_specifications(
        sku="MUG-1",
        barcode="",
        vendor="Kiln",
        choices=[("Colour", "Oat")],
        grams=Decimal(350),
        unit="kg",
        metafields={
            "custom.firing_temperature": "1,240 °C",
            "shopify.color-pattern": "green; gray",
            "custom.colour": "none of the options",
            "custom.sku": "another",
            "custom.empty": "",
            "custom.number": 5,
            "google.gender": "unisex",
            "shopify--discovery--product_recommendation.related_products": "cup",
        },
    )
    assert {key: (spec["name"], spec["value"]) for key, spec in told.items()} == {
        "sku": ("SKU", "MUG-1"),
        "vendor": ("Vendor", "Kiln"),
        "colour": ("Colour", "Oat"),
        "weight": ("Weight", "0.35 kg"),
        "firing-temperature": ("Firing temperature", "1,240 °C"),
        "color-pattern": ("Color pattern", "green; gray"),
    }
    assert all(spec["content"] == spec["value"] for spec in told.values())
