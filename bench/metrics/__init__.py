"""Metrics, one a file; plain functions over NumPy arrays."""
