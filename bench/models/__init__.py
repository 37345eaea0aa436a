"""Models by name: found, loaded, trained once and kept.

Checkpoints in folders and on the hub (``checkpoints``, ``checkpoint_files``, ``loading``), their
layers, their sizes (``sizes``), building under a fingerprint (``build``), access by name
(``access``), one training in several processes (``processes``, ``worker``), and models that score
pairs or give sparse vectors (``scorers``) or translate (``translation``). Imported are method,
encoding, data, tracking and core. A new form that checkpoints come in is read here; what is
trained on them is not.
"""
