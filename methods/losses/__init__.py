"""Training losses that sentence-transformers does not have.

Over texts in a batch (``in_batch``, ``multi_positive``), graded pairs (``graded``, ``listwise``),
prefixes and layers (``matryoshka``), views (``cross_view``, ``distilled_view``), twin towers
(``twin``), definitions, labels and noise. Imported are training, models, method, data and core, and
the towers and rows of ``methods/parts``. A new loss is a file here, called with the features of a
batch's columns and the labels.
"""
