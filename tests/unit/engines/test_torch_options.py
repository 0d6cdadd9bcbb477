"""What an operator can say of torch's devices and of folders with models; torch itself is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.engines.folders import model_folders
from headrace.engines.image.diffusers import DiffusersEngine
from headrace.engines.options import Misconfigured
from headrace.engines.text.transformers import TransformersEngine
from headrace.engines.torch_device import TorchOptions, torch_options


def test_nothing_said_means_a_gpu_where_there_is_one_and_one_thread_elsewhere() -> None:
    assert torch_options({}) == TorchOptions("auto", "auto", 1, None)


def test_what_is_said_is_taken() -> None:
    said = {"device": "cuda:3", "dtype": "float16", "threads": "4", "memory_mib": "8192"}

    assert torch_options(said) == TorchOptions("cuda:3", "float16", 4, 8192)


@pytest.mark.parametrize(
    ("option", "value"),
    [("device", "gpu"), ("device", "cuda:x"), ("dtype", "int8"), ("memory_mib", "-1")],
)
def test_what_makes_no_sense_is_refused_by_name(option: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=option):
        torch_options({option: value})


def test_models_are_folders_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()

    folders = model_folders({"models": f"one={tmp_path}, two={tmp_path}"}, has="config.json")

    assert folders == {"one": tmp_path, "two": tmp_path}


@pytest.mark.parametrize("models", ["one", "one=", "=/tmp", "one=/nowhere/at/all"])
def test_a_folder_that_is_none_is_refused_before_anything_starts(models: str) -> None:
    with pytest.raises(Misconfigured, match="models"):
        model_folders({"models": models}, has="config.json")


@pytest.mark.parametrize("engine", [TransformersEngine, DiffusersEngine])
def test_without_a_folder_an_engine_is_not_there(engine: type[TransformersEngine]) -> None:
    assert engine.configure({}) is None


def test_a_slip_of_the_pen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="modles"):
        TransformersEngine.configure({"modles": "x"})
