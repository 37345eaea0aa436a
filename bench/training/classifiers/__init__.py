"""Classifiers that methods train on the labelled rows of a task.

Settings, the base class (``method``), its training (``trainer``), rows, and what is kept of models
(``saved``).
"""
