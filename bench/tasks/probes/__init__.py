"""Classifiers on frozen vectors, and the protocols by which they are fitted and scored."""
