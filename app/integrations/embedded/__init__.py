"""Servers that development and the tests bring along: started, watched and ended by the process that needs them."""
