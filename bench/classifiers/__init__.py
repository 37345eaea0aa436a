"""Classifiers that methods train on the labelled rows of a task."""
