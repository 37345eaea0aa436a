"""Bridges to mteb and SentEval; nothing in the core imports them."""
