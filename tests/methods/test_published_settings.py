"""Profile ``paper`` has the published settings, and each that a trainer takes reaches it.

Those of simcse and sct are pinned in files of their own.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.support.given import method, trainer_change

# Settings that a source gives, by method.
PUBLISHED: dict[str, dict[str, Any]] = {
    # arXiv 2104.08821, tables A.1 and 7, for BERT-base; evaluations of section A, tokens of the
    # authors' script.
    "sup-simcse": {
        "base": "bert-base-uncased",
        "corpus": "nli",
        "sentences": None,
        "pooling": "cls",
        "head": True,
        "temperature": 0.05,
        "hard_negatives": True,
        "hard_negative_weight": 1.0,
        "lr": 5e-5,
        "batch_size": 512,
        "epochs": 3,
        "max_seq_length": 32,
        "dev": True,
        "dev_every": 250,
        "template": "none",
        "lora_rank": 0,
    },
    # arXiv 2501.13758 was not available: SimCSE's for BERT-base, as above, in both tiers.
    "two-tier-simcse": {
        "base": "bert-base-uncased",
        "tier": "both",
        "temperature": 0.05,
        "corpus": "nli",
        "lr": 5e-5,
        "batch_size": 512,
        "epochs": 3,
        "tier1_lr": 3e-5,
        "tier1_batch_size": 64,
        "tier1_epochs": 1,
        "max_seq_length": 32,
        "dev_every": 250,
    },
    # arXiv 2311.03228: read-me of mrpeerat/SCT at fab0ccb for BERT-Small; epochs, patience and
    # teacher of its scripts.
    "sct-distill": {
        "base": "nreimers/BERT-Small-L-4_H-512_A-8",
        "teacher": "princeton-nlp/unsup-simcse-bert-large-uncased",
        "student": "sct",
        "joint": False,
        "projector": None,
        "queue_size": 131_072,
        "tau_ref": 0.04,
        "tau_on": 0.05,
        "half": False,
        "kind": "kl",
        "views": "pairs",
        "corpus": "back-translated",
        "queue_start": "random",
        "lr": 1e-4,
        "batch_size": 128,
        "epochs": 20,
        "max_seq_length": 128,
        "dev_every": 64,
        "patience": 7,
        "warmup": 0.1,
    },
    # arXiv 2406.09790, table of appendix for Mistral-7B-v0.1 and the template of one word.
    "pcc-tuning": {
        "base": "mistralai/Mistral-7B-v0.1",
        "loss": "pearson",
        "lora_rank": 64,
        "lr": 5e-4,
        "batch_size": 216,
        "epochs": 8,
        "max_seq_length": 64,
        "warmup_steps": 100,
        "dev_every": 25,
    },
    # arXiv 2411.17299: scripts of the reproduction for BERT-base, ielab/2DMSE-Reproduce; tokens are
    # not limited there, the rate is that of the trainer.
    "matryoshka": {
        "base": "bert-base-uncased",
        "corpus": "nli",
        "dims": (768, 512, 256, 128, 64, 32, 16, 8),
        "grid": (768, 512, 256, 128, 64, 32, 16, 8),
        "dims_per_step": -1,
        "pooling": "mean",
        "temperature": 0.05,
        "lr": 5e-5,
        "batch_size": 128,
        "epochs": 10,
        "max_seq_length": 512,
        "warmup_steps": 50,
        "dev": False,
    },
    # The same, with sentence-transformers' Matryoshka2dLoss as it was then.
    "matryoshka-2d": {
        "base": "bert-base-uncased",
        "corpus": "nli",
        "variant": "st",
        "dims": (768, 512, 256, 128, 64, 32, 16, 8),
        "dims_per_step": 1,
        "layers_per_step": 1,
        "layer_weighting": "linear",
        "detached": False,
        "pooling": "mean",
        "temperature": 0.05,
        "lr": 5e-5,
        "batch_size": 128,
        "epochs": 10,
        "max_seq_length": 512,
        "warmup_steps": 50,
        "dev": False,
    },
    # Its second version, code/STS_V2_Angle/train_2dmse.sh.
    "matryoshka-2d[variant=ese]": {
        "base": "bert-base-uncased",
        "corpus": "nli",
        "pooling": "cls",
        "size": 128,
        "embedding_layer": True,
        "layers_per_step": -1,
        "angle_weight": 1.0,
        "in_batch_weight": 30.0,
        "angle_scale": 20.0,
        "temperature": 0.05,
        "lr": 5e-5,
        "batch_size": 128,
        "epochs": 10,
        "max_seq_length": 128,
        "warmup_steps": 50,
        "dev": False,
    },
    # Its retrieval, code/Retrieval/tevatron/train_bert_russain_doll_v2.sh: 8 passages a query; the
    # warm-up is Tevatron's.
    "matryoshka-2d[variant=retrieval]": {
        "base": "bert-base-uncased",
        "pooling": "cls",
        "similarity": "dot",
        "temperature": 1.0,
        "dims": (128,),
        "layers_per_step": -1,
        "negatives": 7,
        "score_align": False,
        "compare_to_last_layer": False,
        "sub_layer_full_dim": False,
        "passage_to_last_layer": False,
        "lr": 1e-4,
        "batch_size": 128,
        "epochs": 3,
        "max_seq_length": 196,
        "warmup_steps": None,
        "dev": False,
    },
    # arXiv 2408.15710, sections 3 and 4.1; temperature, epochs and number of negatives are ours.
    "conan": {
        "base": "bert-large-uncased",
        "lr": 1e-5,
        "warmup_ratio": 0.05,
        "weight_decay": 0.001,
        "batch_size": 4,
        "graded_batch_size": 32,
        "balance": True,
        "beta": 0.8,
        "in_batch_positives": False,
        "mining": "dynamic",
        "rerank": False,
        "check_every": 100,
        "factor": 1.15,
        "cap": 0.8,
        "epochs": 2,
        "temperature": 0.02,
        "negatives": 4,
        "dim": 1792,
        "dims": (256, 512, 768, 1024, 1280, 1536, 1792),
        "max_seq_length": 512,
    },
    # arXiv 2508.11442: the authors' scripts for multilingual-e5-large-instruct.
    "codiemb": {
        "base": "intfloat/multilingual-e5-large-instruct",
        "pooling": "mean",
        "tasks": "both",
        "lr": 5e-5,
        "epochs": 5,
        "batch_size": 64,
        "sts_batch_size": 32,
        "temperature": 0.02,
        "rank_temperature": 0.05,
        "positives": 2,
        "negatives": 4,
        "max_seq_length": 512,
        "middle": True,
        "instructions": True,
        "updates": 0,
        "loss": "own",
        "sampler": "dynamic",
    },
}
# What the trainer has besides learning rate, batch, epochs and tokens; all else is as it is made.
USUAL = {
    "warmup_ratio": 0.0,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "adam_epsilon": 1e-8,
    "max_steps": -1,
    "micro_batch": None,
    "patience": 0,
    "schedule": "linear",
    "shuffle": True,
    "gradient_checkpointing": False,
}
TRAINER: dict[str, dict[str, Any]] = {
    # arXiv 2104.08821: AdamW as transformers had it, no warm-up, no decay.
    "sup-simcse": {"dev_every": 250},
    "two-tier-simcse": {"dev_every": 250},
    # 7 epochs of 10 batches, counted in evaluations of 64 batches.
    "sct-distill": {
        "dev_every": 64,
        "warmup_ratio": 0.1,
        "weight_decay": 0.01,
        "adam_epsilon": 1e-6,
        "patience": 2,
    },
    "pcc-tuning": {"dev_every": 25, "warmup_steps": 100},
    "matryoshka": {"dev_every": 0, "warmup_steps": 50},
    "matryoshka-2d": {"dev_every": 0, "warmup_steps": 50},
    "matryoshka-2d[variant=ese]": {"dev_every": 0, "warmup_steps": 50},
    "matryoshka-2d[variant=retrieval]": {"dev_every": 0, "warmup_ratio": 0.1},
    "conan": {"dev_every": 250, "warmup_ratio": 0.05, "weight_decay": 0.001, "batch_size": 36},
    "codiemb": {"dev_every": 0, "warmup_ratio": 0.03},
}
SHARED = ("lr", "epochs", "batch_size", "max_seq_length")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_settings(name: str) -> None:
    config = method(name).config
    assert {key: getattr(config, key) for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", TRAINER)
def test_the_trainer_gets_the_published_ones(name: str) -> None:
    settings = asdict(method(name).train_settings(1280))
    shared = {key: PUBLISHED[name][key] for key in SHARED}
    assert settings == {"checkpoint_every": 100, **USUAL, **shared, **TRAINER[name]}


def test_the_first_stages_are_the_published_ones() -> None:
    # arXiv 2406.09790: low-rank adapters and a batch of 224 to 256 rows for one epoch.
    stage: Any = method("pcc-tuning").parents[0]
    assert stage.startswith("sup-simcse[")
    config = method("sup-simcse", stage.partition("[")[2][:-1]).config
    assert (config.base, config.template) == ("mistralai/Mistral-7B-v0.1", "eol")
    assert (config.pooling, config.head, config.lora_rank) == ("lasttoken", False, 64)
    assert (config.lr, config.epochs, config.batch_size) == (5e-4, 1, 256)
    assert (config.temperature, config.max_seq_length, config.corpus) == (0.05, 32, "nli")
    # arXiv 2408.15710: pairs contrasted within the batch, of 64 devices with 8 rows each.
    stage = method("conan").parents[0]
    config = method("simcse", stage.partition("[")[2][:-1]).config
    assert (config.base, config.positives, config.lr) == ("bert-large-uncased", "pairs", 1e-5)
    assert (config.batch_size, config.max_seq_length) == (512, 512)
    # The first tier is SimCSE's own training.
    first: Any = method("two-tier-simcse", "tier=1")
    settings = first.train_settings(1280)
    assert (settings.lr, settings.batch_size, settings.epochs) == (3e-5, 64, 1)


@pytest.mark.parametrize("name", TRAINER)
@pytest.mark.parametrize(
    ("option", "name_there", "value"),
    [
        ("lr=0.01", "lr", 0.01),
        ("epochs=7", "epochs", 7),
        ("max_seq_length=17", "max_seq_length", 17),
        ("max_steps=9", "max_steps", 9),
        ("dev=true,dev_every=5", "dev_every", 5),
        ("micro_batch=2", "micro_batch", 2),
    ],
)
def test_an_option_of_all_changes_its_own_setting_alone(
    name: str, option: str, name_there: str, value: Any
) -> None:
    expected = {name_there: value}
    if name == "sct-distill" and name_there == "dev_every":
        expected["patience"] = 14
    assert trainer_change(name, option) == expected


@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [
        ("sup-simcse", "batch_size=32", {"batch_size": 32}),
        ("two-tier-simcse", "batch_size=32", {"batch_size": 32}),
        ("two-tier-simcse", "tier1_lr=0.01", {}),
        ("two-tier-simcse", "tier=1", {"lr": 3e-5, "batch_size": 64, "epochs": 1}),
        ("pcc-tuning", "batch_size=32", {"batch_size": 32}),
        ("pcc-tuning", "warmup_steps=7", {"warmup_steps": 7}),
        ("matryoshka", "batch_size=32", {"batch_size": 32}),
        ("matryoshka", "warmup_steps=7", {"warmup_steps": 7}),
        ("matryoshka-2d", "batch_size=32", {"batch_size": 32}),
        ("matryoshka-2d", "warmup_steps=7", {"warmup_steps": 7}),
        ("sct-distill", "warmup=0.3", {"warmup_ratio": 0.3}),
        ("sct-distill", "patience=14", {"patience": 3}),
        ("sct-distill", "patience=0", {"patience": 0}),
        ("sct-distill", "dev=false", {"dev_every": 0}),
        ("sct-distill", "batch_size=64", {"batch_size": 64, "patience": 3}),
        ("conan", "batch_size=8", {"batch_size": 40}),
        ("conan", "graded_batch_size=8", {"batch_size": 12}),
        ("conan", "warmup_ratio=0.3", {"warmup_ratio": 0.3}),
        ("conan", "weight_decay=0.2", {"weight_decay": 0.2}),
        ("conan", "dev=false", {"dev_every": 0}),
        ("codiemb", "batch_size=32", {"batch_size": 32}),
        ("codiemb", "dev=true", {"dev_every": 250}),
    ],
)
def test_an_option_reaches_the_trainer(name: str, option: str, expected: Any) -> None:
    assert trainer_change(name, option) == expected


@pytest.mark.parametrize(
    ("option", "name_there", "value"),
    [
        ("tier1_lr=0.01", "lr", 0.01),
        ("tier1_batch_size=32", "batch_size", 32),
        ("tier1_epochs=7", "epochs", 7),
    ],
)
def test_settings_of_the_first_tier_reach_its_trainer(
    option: str, name_there: str, value: Any
) -> None:
    assert trainer_change("two-tier-simcse", option, "tier=1") == {name_there: value}
