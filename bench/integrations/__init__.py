"""Outward only: methods as models of mteb and SentEval, records as result files of mteb.

Nothing below imports from here. Tasks of mteb that we run are in ``bench.tasks.mteb``.
"""
