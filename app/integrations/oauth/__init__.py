"""Identity providers: Google, Facebook, and whatever speaks OpenID Connect. Loaded where one is configured."""
