"""Feature 5: gift cards and store credit, money that shoppers hold with the shop."""
