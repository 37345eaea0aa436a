"""Statistics of scores: how sure a score is, and whether two of them differ.

Resamples of items and replicates of a score on them (``bootstrap``, ``resampling``), intervals
(``intervals``), tests of two methods (``paired``, ``permutation``, ``mcnemar``) and of many
(``all_pairs``, ``multiple``), and seeds beside items (``hierarchical``). Imported is core
alone, of which the blocks of long arrays: arrays come in, numbers go out. A new test is a file
here; which score it suits is said in ``bench.verdicts.difference``.
"""
