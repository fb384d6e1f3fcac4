"""Feature 4: what a shop tells besides its products: blog categories, posts and pages."""
