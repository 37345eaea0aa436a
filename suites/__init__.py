"""Suites, data sources, embedded data, claims, published figures; installed as ``bench.suites``."""
