"""Suites, data sources and embedded data; installed as ``bench.suites``."""
