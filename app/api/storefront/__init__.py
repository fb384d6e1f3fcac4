"""The storefront API: shoppers, their single-page shop, mobile app and checkout page."""
