"""What is sold: products, variants, options, images, collections, categories and their ready-made documents."""
