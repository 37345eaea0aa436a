"""Classifiers on frozen vectors, and the protocols by which they are fitted and scored.

What a probe is (``base``), scikit-learn's (``logistic``, ``classifiers``) and SentEval's own
(``senteval_torch``, ``senteval_relatedness``), folds and dev rows to choose settings on
(``protocols``), probes behind maps that are fitted in each fold (``mapped``), and for supervised
tracks (``frozen``). Imported are method, metrics and core. A new probe is a file here, which the
spec of a kind names.
"""
