"""Machinery of one method or two, besides losses.

Towers (``twin``), mined negatives (``mining``), mixtures of sets (``mixture``) and of checkpoints
(``fusion``), ``views`` of a text, dropout that changes (``dropout``), prompts and what is put
before a text (``prompts``, ``prepending``), layers chosen on dev rows (``layer_search``), decoders
(``causal``), and rows of minBERT's tasks (``task_rows``). Imported are training, models, method,
encoding, metrics, data and core, and nobody but methods imports from here. A new part is a file
here; what a third method comes to need moves to ``bench.training``.
"""
