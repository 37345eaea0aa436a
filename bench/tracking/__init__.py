"""What becomes of a run in TensorBoard, Trackio, Weights & Biases and MLflow.

Trainings report their curves (``trainings``) and records their scores (``tracking``) to the
``trackers`` that were asked for, through the callbacks of transformers and the trackers' own
packages. Nothing of what is measured depends on it. Imported are suite, records and core. A new
tracker is a class and an entry of ``TRACKERS``.
"""
