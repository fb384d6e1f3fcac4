"""Storefront: a headless shop. One commerce domain under several HTTP surfaces."""
