"""Parts of the ensemble that learns from pseudo-labelled and augmented texts (arXiv 2501.15876).

Step by step as ``pipeline`` takes them: neighbours (``retrieval``), their labels
(``pseudo_labels``), variants of gold texts (``augment``), members (``members``, ``neural``,
``context_model``), weights (``stack``) and what is reported of it (``facts``).
Imported are training, models, method, encoding, data, metrics and core, and synonyms of
``methods/parts``. A new member or a new source of texts goes here, with its option in ``settings``.
"""
