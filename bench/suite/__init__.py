"""Suites: TOML files that name tasks, their data, and how the table averages them.

What an entry of each kind may say (``entry``, ``retrieval``, ``kinds``) and where its rows are
(``data``), ``prompts``, suites and groups of them (``suite``), some of their tasks (``part``),
finding them by name or file (``loading``), and suites made of mteb's tasks (``mteb``).
Imported are core and data. A new kind of task begins as a class in ``kinds``; its scoring is a file
in ``bench.tasks``.
"""

from bench.suite.data import Data, FileData, HubData, MtebData, MtebTable
from bench.suite.entry import Convention
from bench.suite.kinds import (
    KINDS,
    MTEB_PREFIX,
    ClassificationSpec,
    ClusteringSpec,
    DimensionSpec,
    MtebSpec,
    NliSpec,
    OwnSpec,
    PairClassificationSpec,
    RelatednessSpec,
    RerankingSpec,
    StsSpec,
    TaskSpec,
    row_columns,
    scored_from,
)
from bench.suite.loading import (
    default_profile,
    load_suite,
    load_suites,
    only_tasks,
    read_suite,
    suite_path,
)
from bench.suite.part import split_part
from bench.suite.prompts import prompt_of
from bench.suite.retrieval import RetrievalSpec
from bench.suite.suite import AVERAGE, Group, Suite

__all__ = [
    "AVERAGE",
    "KINDS",
    "MTEB_PREFIX",
    "ClassificationSpec",
    "ClusteringSpec",
    "Convention",
    "Data",
    "DimensionSpec",
    "FileData",
    "Group",
    "HubData",
    "MtebData",
    "MtebSpec",
    "MtebTable",
    "NliSpec",
    "OwnSpec",
    "PairClassificationSpec",
    "RelatednessSpec",
    "RerankingSpec",
    "RetrievalSpec",
    "StsSpec",
    "Suite",
    "TaskSpec",
    "default_profile",
    "load_suite",
    "load_suites",
    "only_tasks",
    "prompt_of",
    "read_suite",
    "row_columns",
    "scored_from",
    "split_part",
    "suite_path",
]
