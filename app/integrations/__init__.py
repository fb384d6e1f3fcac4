"""The outside world: classes that implement what the domain asks for by Protocol."""
