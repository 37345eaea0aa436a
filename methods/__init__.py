"""The built-in methods, one adapter a file; installed as ``bench.methods``."""
