"""Training, for authors of methods: the base class, one trainer, and the parts that losses share.

``method`` has the classes to derive from, ``trainer`` the loop with its checkpoints, batches and
ranks, ``classifiers`` the same for models that label rows themselves. Imported are models, method
and all below. What one method alone needs belongs beside it, in ``methods/parts``.
"""
