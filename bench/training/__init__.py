"""Training, for authors of methods: the base class, one trainer, and the parts that losses share.

``method`` has the classes to derive from, ``trainer`` the loop with its checkpoints, batches and
ranks, ``classifiers`` the same for models that label rows themselves. Imported are models, method,
data, metrics and core. A new part goes here where several methods use it; what one method alone
needs belongs beside it, in ``methods/parts``.
"""
