"""A third-party method and suite."""
