"""Promotions: what a basket costs, which discounts it earns, and how often a coupon may be used."""
