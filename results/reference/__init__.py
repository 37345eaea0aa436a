"""Published figures, as package data."""
