"""What papers claim, and what the records say to it."""
