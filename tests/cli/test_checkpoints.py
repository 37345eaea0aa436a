"""``name@FOLDER`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.support.saved_models import SHAPES, save
from tests.support.suites import Bench


def test_saved_and_bare_folders_load_and_never_train(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    saved, bare = tmp_path / "saved", tiny_bert(tmp_path / "bare")
    tiny_sentence_transformer(tmp_path / "tiny").save_pretrained(str(saved))
    methods = [f"{name}@{folder}" for name in ("simcse", "sct") for folder in (saved, bare)]
    code, out, err = bench("run", "--suite", suite, "--methods", ",".join(methods), "--seeds", "3")
    assert code == 0, err
    assert "train" not in err
    records = [json.loads(p.read_text()) for p in Path("results/runs/small").glob("*.json")]
    scores = {record["method"]["spec"]: record["average"] for record in records}
    assert sorted(scores) == sorted(methods)
    # Long specs are cut, and what is behind the cut is told in one piece.
    assert all(str(folder) in out for folder in (saved, bare))
    # The saved model pools by mean; bare ones get the pooling of their papers.
    assert scores[f"simcse@{saved}"] == scores[f"sct@{saved}"] == scores[f"sct@{bare}"]
    assert scores[f"simcse@{bare}"] != scores[f"sct@{bare}"]


def test_folder_that_is_no_model(bench: Bench, suite: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = bench("run", "--suite", suite, "--methods", f"sct@{tmp_path / 'empty'}")
    assert code == 4
    assert "holds no model" in err


def test_folder_whose_name_has_commas_and_brackets(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path / "a, b[1]")
    methods = f'good,sbert@"{folder}",truncate[dim=4,of="{folder}"],simcse@"{folder}"[pooling=cls]'
    code, out, err = bench("run", "--suite", suite, "--methods", methods)
    assert code == 0, err
    _, out, _ = bench("table", "--format", "json")
    assert json.dumps(f'sbert@"{folder}"') in out
    assert json.dumps(f'simcse@"{folder}"[pooling=cls]') in out
    assert json.dumps(f'truncate[dim=4,of="{folder}"]') in out
    code, out, err = bench("compare", "good", f'sbert@"{folder}"', "--suite", "small")
    assert code == 0, err


@pytest.mark.parametrize(
    "shape", ["static", "bag of words", "words", "router", "router without a default", "bfloat16"]
)
def test_a_model_that_is_no_plain_transformer(
    shape: str, bench: Bench, suite: Path, tmp_path: Path
) -> None:
    folder = save(SHAPES[shape], tmp_path)
    methods = ",".join(
        [
            f"sbert@{folder}",
            f"truncate[dim=4,of={folder}]",
            f"random-dims[fraction=0.9,of={folder}]",
        ]
    )
    code, _, err = bench("run", "--suite", suite, "--methods", methods)
    assert code == 0, err
    assert len(list(Path("results/runs/small").glob("*seed0.json"))) == 3
    assert "Warning" not in err


def test_no_checkpoint_that_is_not_whole_is_scored(
    bench: Bench, suite: Path, tmp_path: Path
) -> None:
    def run(name: str) -> str:
        code, out, err = bench("run", "--suite", suite, "--methods", f"sbert@{tmp_path / name}")
        assert (code, out) == (4, "")
        assert "Traceback" not in err
        return err.strip().splitlines()[-1]

    bert = tiny_bert(tmp_path / "behind")
    weights = load_file(bert / "model.safetensors")
    named = {f"module.{name}": tensor for name, tensor in weights.items()}
    save_file(named, bert / "model.safetensors", metadata={"format": "pt"})
    assert "begin with 'module.'" in run("behind")
    (tiny_bert(tmp_path / "mute") / "tokenizer.json").unlink()
    assert "has no tokenizer" in run("mute")
    bert = tiny_bert(tmp_path / "pickled")
    (bert / "model.safetensors").unlink()
    torch.save({"weights": print}, bert / "pytorch_model.bin")
    assert "pytorch_model.bin is pickled" in run("pickled")


def test_a_cross_encoder_is_told(bench: Bench, suite: Path, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "cross")
    BertForSequenceClassification.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    code, _, err = bench("run", "--suite", suite, "--methods", f"sbert@{folder}")
    assert code == 0
    assert "is a cross-encoder or another classifier" in err


def test_one_vector_for_all_texts_is_told(bench: Bench, suite: Path, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "flat")
    weights = load_file(folder / "model.safetensors")
    flat = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    save_file(flat, folder / "model.safetensors", metadata={"format": "pt"})
    _, _, err = bench("run", "--suite", suite, "--methods", f"sbert@{folder}")
    assert "different texts have the same vector" in err


def test_a_length_that_a_model_cannot_have(bench: Bench, suite: Path, tmp_path: Path) -> None:
    folder = save(SHAPES["bag of words"], tmp_path)
    code, _, err = bench("run", "--suite", suite, "--methods", f"sbert@{folder}[max_seq_length=8]")
    assert code == 3
    assert "max_seq_length has no effect on a BoW" in err


def test_a_device_that_is_not_there(
    bench: Bench, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for method in ("good", "random", f"sbert@{tiny_bert(tmp_path / 'bert')}"):
        for device in ("cuda", "cuda:7", "tpu9", "meta", "cpu:x", ""):
            code, out, err = bench("run", "--suite", suite, "-m", method, "--device", device)
            assert (code, out) == (2, ""), device
            assert len(err.strip().splitlines()) == 1
            assert "device" in err
            assert "--device" in err
    assert not Path("results/runs/small").exists()
    code, _, err = bench("run", "--suite", suite, "--methods", "good", "--device", "cpu")
    assert code == 0, err
