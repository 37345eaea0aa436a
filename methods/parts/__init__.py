"""Machinery of one method or two: towers, mined negatives, mixtures, views, prompts.

What every method shares is in ``bench.training``; what a third method comes to need moves there.
Nobody but methods imports from here.
"""
