"""How things are found: search over what the catalogue keeps."""
