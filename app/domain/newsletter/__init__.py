"""Feature 4: the newsletter, who agreed to get it and how they leave."""
