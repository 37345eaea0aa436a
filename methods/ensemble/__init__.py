"""Parts of the ensemble that learns from pseudo-labelled and augmented texts (arXiv 2501.15876)."""
