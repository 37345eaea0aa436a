"""Resampling statistics."""
