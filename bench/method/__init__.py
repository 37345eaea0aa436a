"""The contract of a method, and all that an author of one imports: ``from bench.method import …``.

What a method is, gets and gives back (``contract``), methods that label rows themselves
(``predictors``), that score pairs or give sparse vectors (``scorers``), encoders that were handed
over (``given``), and methods by name (``named``). Imported are core, data and encoding. A new hook
of methods is one of ``Method``, with a default that leaves all others as they are.
"""

from bench.core.defaults import PROFILES
from bench.encoding.encoder import Encoder
from bench.method.contract import (
    TORCH_STACK,
    BuildContext,
    Built,
    Kind,
    Method,
    MethodConfig,
    MethodInfo,
    ModelAccess,
    TrainingLoad,
)
from bench.method.given import GivenMethod, given_class, local_class
from bench.method.named import (
    known_methods,
    learns,
    lineage,
    make_method,
    method_class,
    method_spec,
    named_method,
    resolve,
    stand_ins,
    with_methods,
)
from bench.method.predictors import (
    Answer,
    Composition,
    Item,
    Label,
    LabelledTexts,
    LabelsOnly,
    Predictor,
    Probabilities,
    PseudoLabels,
    Question,
)
from bench.method.scorers import PairScorer, SparseScorer

__all__ = [
    "PROFILES",
    "TORCH_STACK",
    "Answer",
    "BuildContext",
    "Built",
    "Composition",
    "Encoder",
    "GivenMethod",
    "Item",
    "Kind",
    "Label",
    "LabelledTexts",
    "LabelsOnly",
    "Method",
    "MethodConfig",
    "MethodInfo",
    "ModelAccess",
    "PairScorer",
    "Predictor",
    "Probabilities",
    "PseudoLabels",
    "Question",
    "SparseScorer",
    "TrainingLoad",
    "given_class",
    "known_methods",
    "learns",
    "lineage",
    "local_class",
    "make_method",
    "method_class",
    "method_spec",
    "named_method",
    "resolve",
    "stand_ins",
    "with_methods",
]
