"""Kept models: what is damaged is trained again, in one line, and never used."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench.core import fingerprint
from bench.core.cache import Cache
from bench.core.sealed import SEAL, damage, make_sealed_folder, seal
from bench.methods.ensemble.memory import Memory
from tests.support.models import tiny_bert
from tests.support.suites import Bench, write_suite


def _filled(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/weights").write_bytes(b"weights")
    (folder / "training.json").write_bytes(b"{}")


def test_every_changed_byte_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    make_sealed_folder(folder, _filled)
    assert damage(folder) is None
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert damage(folder) is not None, (path, place)
        path.write_bytes(content)
    assert damage(folder) is None


def test_files_that_are_missing_or_more(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    make_sealed_folder(folder, _filled)
    (folder / ".hidden").touch()
    assert damage(folder) is None
    (folder / "adapter.json").touch()
    assert damage(folder) == "adapter.json does not belong to it"
    (folder / "adapter.json").unlink()
    shutil.rmtree(folder / "deep")
    assert damage(folder) == "deep/weights is missing"
    (folder / SEAL).unlink()
    assert damage(folder) == f"{SEAL} is missing"
    assert damage(tmp_path / "none") == f"{SEAL} is missing"


def test_a_sealed_folder_can_be_sealed_again(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    make_sealed_folder(folder, _filled)
    (folder / "more").touch()
    seal(folder)
    assert damage(folder) is None


def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_SETTLED", -1)
    folder = tmp_path / "made"
    make_sealed_folder(folder, _filled)
    cache = Cache(tmp_path)
    assert damage(folder, cache.hashes().sha256) is None
    again = partial(cache.hashes().sha256, compute=lambda path: pytest.fail(f"{path} is read"))
    assert damage(folder, again) is None


def test_what_an_ensemble_remembers_is_not_believed_once_changed(tmp_path: Path) -> None:
    memory, arrays = Memory(tmp_path), {"x": np.arange(3.0)}
    memory.recall("one", lambda: arrays)
    (path,) = tmp_path.iterdir()
    again = memory.recall("one", lambda: pytest.fail("it is there"))
    np.testing.assert_array_equal(again["x"], arrays["x"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = memory.recall("one", lambda: {"x": np.ones(3)})
    np.testing.assert_array_equal(found["x"], np.ones(3))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.nightly
def test_a_damaged_model_is_trained_again_and_said_so(bench: Bench, tmp_path: Path) -> None:
    base = tiny_bert(tmp_path / "tiny")
    arguments = [
        *("run", "--suite", write_suite(tmp_path), "--profile", "smoke"),
        *("--methods", f"sct[base={base},max_steps=3]"),
    ]
    code, table, err = bench(*arguments)
    assert code == 0, err
    (folder,) = (tmp_path / "cache/models").iterdir()
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in ("model.safetensors", "training.json", "config.json", SEAL):
        content = bytearray(whole[name])
        content[-3] ^= 1
        (folder / name).write_bytes(content)
        shutil.rmtree(tmp_path / "cache/vectors")
        code, again, err = bench(*arguments, "--rerun", "all")
        assert (code, again) == (0, table), err
        assert err.count(f"{folder} is not used, as {name}") == 1
        assert (folder / "model.safetensors").read_bytes() == whole["model.safetensors"]
    code, _, err = bench(*arguments, "--rerun", "all")
    assert code == 0 and "not used" not in err
