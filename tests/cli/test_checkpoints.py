"""``name@FOLDER`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.small import Bench
from tests.tiny import tiny_bert, tiny_sentence_transformer


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
    assert all(method in out for method in methods)
    # The saved model pools by mean; bare ones get the pooling of their papers.
    assert scores[f"simcse@{saved}"] == scores[f"sct@{saved}"] == scores[f"sct@{bare}"]
    assert scores[f"simcse@{bare}"] != scores[f"sct@{bare}"]


def test_folder_that_is_no_model(bench: Bench, suite: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = bench("run", "--suite", suite, "--methods", f"sct@{tmp_path / 'empty'}")
    assert code == 4
    assert "holds no model" in err
