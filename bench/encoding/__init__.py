"""From texts to vectors: each text of a suite once, in full batches, through a store.

Here live what an encoder is and reads (``encoder``), the plan (``encode``), how texts are cut into
batches (``batches``), vectors kept by content (``store``, in ``shards``; ``stored`` where they stay
on disk; ``changing`` models), what computes them (``compute``, ``exports`` for other libraries than
torch), maps of vectors (``maps``), sparse vectors (``sparse``), and pairs as texts (``pairs``).
Imported are core and records. How models get loaded or trained is no matter of this room; a new way
to cut texts into batches goes into ``batches``.
"""
