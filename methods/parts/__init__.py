"""Machinery of one method or two, besides losses.

Towers (``twin``), mined negatives (``mining``), mixtures of sets (``mixture``) and of checkpoints
(``fusion``), ``views``, ``dropout`` that changes, what is put before a text (``prompts``, and by
role ``role_prompts``; ``prepending``), layers chosen on dev rows (``layer_search``), decoders
(``causal``), rows of minBERT's tasks (``task_rows``), and a ``checkpoint`` as it is. Imported are
training, models, method, encoding, metrics, data and core, and nobody but methods imports from
here. A new part is a file here; what a third training needs moves to ``bench.training``.
"""
