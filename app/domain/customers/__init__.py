"""Who buys: people, their addresses and how they are reached."""
