"""Classifiers that methods train on the labelled rows of a task.

Their settings (``settings``), the base class and its stages (``method``), the training of a stage
(``trainer``), rows of texts and labels (``rows``), and what is kept of models (``saved``). Imported
are models, method, data and core, and what all trainings share. A new stage that several methods
have goes here; one that a single method has stays in its adapter.
"""
