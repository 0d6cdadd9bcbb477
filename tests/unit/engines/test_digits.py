"""Digits are learned and read; a training that was stopped half way goes on as if it never had been."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from typing_extensions import override

from headrace.contracts.frames import Log, Metric, Progress
from headrace.engines.digits import cnn, mlp, safetensors
from headrace.engines.digits.arrays import Unreadable, pack, unpack
from headrace.engines.digits.cnn import CnnTrainer
from headrace.engines.digits.data import SHADES, split
from headrace.engines.digits.mlp import MlpTrainer
from headrace.engines.digits.serving import CnnReader, MlpReader, NoModelOfItsOwn, as_row
from headrace.engines.engine import BadInput, Checkpoint, Stopped
from headrace.testkit import infra
from headrace.testkit.work import RecordedWork, sent, work_for

needs_torch = infra.skipped_without("torch")
TRAINERS = [MlpTrainer, pytest.param(CnnTrainer, marks=needs_torch)]
SHORT = {"epochs": 6, "seed": 3}
Trainer = type[MlpTrainer] | type[CnnTrainer]


def trained(
    trainer: Trainer, given: dict[str, Any] = SHORT, **fields: Any
) -> tuple[RecordedWork, dict[str, Any]]:
    engine, work = trainer(), work_for(trainer, given, **fields)
    engine.load(work.model)
    return work, sent(engine.run(work))


def curve(work: RecordedWork, name: str = "val_loss") -> list[tuple[int | None, float]]:
    return [(each.step, each.value) for each in work.said(Metric) if each.name == name]


def artefact_of(work: RecordedWork, output: dict[str, Any]) -> bytes:
    data, _ = work.blobs[output["model"]["artefact"]["blob"]]
    return data


@pytest.fixture(scope="module", params=TRAINERS)
def trainer(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def whole(trainer: Trainer) -> tuple[RecordedWork, dict[str, Any]]:
    """A training that nobody interrupted."""
    return trained(trainer)


def test_each_epoch_is_told_and_leaves_a_checkpoint(
    whole: tuple[RecordedWork, dict[str, Any]],
) -> None:
    work, _ = whole

    for name in ("loss", "val_loss", "val_accuracy"):
        assert [step for step, _ in curve(work, name)] == [1, 2, 3, 4, 5, 6]
    assert [each.step for each in work.said(Progress)] == [1, 2, 3, 4, 5, 6]
    assert [each.step for each in work.checkpoints] == [1, 2, 3, 4, 5, 6]


def test_it_learns(whole: tuple[RecordedWork, dict[str, Any]]) -> None:
    work, output = whole
    losses = [loss for _, loss in curve(work)]

    assert losses[-1] < losses[0] / 2
    assert output["model"]["metrics"]["val_accuracy"] > 0.85


def test_its_model_is_told_as_the_registry_takes_it(
    whole: tuple[RecordedWork, dict[str, Any]],
) -> None:
    work, output = whole
    model, data = output["model"], artefact_of(*whole)

    assert model["format"] in {mlp.FORMAT, cnn.FORMAT}
    assert (model["bytes"], model["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert model["parameters"] == msgspec.to_builtins(work.input) | _hidden(work)
    assert dict(curve(work))[model["metrics"]["epoch"]] == model["metrics"]["val_loss"]
    assert "1437" in model["data"]


def _hidden(work: RecordedWork) -> dict[str, Any]:
    """A tuple here, a list in JSON."""
    return {"hidden": list(work.input.hidden)} if hasattr(work.input, "hidden") else {}


@pytest.mark.parametrize("step", [1, 4, 6])
def test_who_goes_on_from_a_checkpoint_ends_to_the_bit_as_who_was_never_stopped(
    trainer: Trainer, whole: tuple[RecordedWork, dict[str, Any]], step: int
) -> None:
    unbroken, expected = whole
    before = unbroken.checkpoints[step - 1]

    resumed, output = trained(trainer, before=before)

    assert [each.step for each in resumed.checkpoints] == list(range(step + 1, 7))
    assert curve(resumed) == curve(unbroken)
    assert curve(resumed, "loss") == curve(unbroken, "loss")
    assert artefact_of(resumed, output) == artefact_of(unbroken, expected)
    assert output["model"]["metrics"] == expected["model"]["metrics"]


def test_who_goes_on_says_so_and_says_the_curves_again_first(
    trainer: Trainer, whole: tuple[RecordedWork, dict[str, Any]]
) -> None:
    resumed, _ = trained(trainer, before=whole[0].checkpoints[3])

    lines = [each.line for each in resumed.said(Log)]
    assert "Goes on from epoch 4" in lines
    assert [step for step, _ in curve(resumed)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "data", [b"", b"PK nonsense", pack({}, {"asked": {}, "rows": []}), pack({}, "of another build")]
)
def test_a_checkpoint_that_it_cannot_read_is_as_if_there_were_none(data: bytes) -> None:
    work, output = trained(MlpTrainer, SHORT, before=Checkpoint(4, data))

    assert output["epochs"] == 6
    assert [each.step for each in work.checkpoints] == [1, 2, 3, 4, 5, 6]
    assert any("Begins at the beginning" in each.line for each in work.said(Log))


def test_it_stops_early_when_nothing_gets_better_and_the_best_epoch_serves() -> None:
    given = {"epochs": 200, "learning_rate": 0.05, "patience": 3, "seed": 1}
    work, output = trained(MlpTrainer, given)

    best = min(curve(work), key=lambda each: each[1])
    assert output["stopped_early"]
    assert output["epochs"] < 200
    assert output["epochs"] - output["model"]["metrics"]["epoch"] == 3
    assert output["model"]["metrics"]["val_loss"] == best[1]


def test_who_was_killed_after_the_last_epoch_does_not_train_another() -> None:
    given = {"epochs": 200, "learning_rate": 0.05, "patience": 3, "seed": 1}
    work, expected = trained(MlpTrainer, given)

    resumed, output = trained(MlpTrainer, given, before=work.checkpoints[-1])

    assert resumed.checkpoints == []
    assert output["model"]["sha256"] == expected["model"]["sha256"]


def test_another_seed_is_another_training() -> None:
    one, other = trained(MlpTrainer, {"epochs": 1}), trained(MlpTrainer, {"epochs": 1, "seed": 1})

    assert one[1]["model"]["sha256"] != other[1]["model"]["sha256"]


def test_it_stops_when_it_is_told_to(trainer: Trainer) -> None:
    with pytest.raises(Stopped):
        trained(trainer, {"epochs": 50}, stop_after=9)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"epochs": 0}, "epochs"), ({"hidden": []}, "hidden"), ({"data": "faces"}, "data")],
)
def test_what_cannot_be_trained_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=field):
        work_for(MlpTrainer, given)


# -- serving ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(
    trainer: Trainer,
    whole: tuple[RecordedWork, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> MlpReader | CnnReader:
    """Has loaded what was trained."""
    path = tmp_path_factory.mktemp("artefact") / "model"
    path.write_bytes(artefact_of(*whole))
    reader = MlpReader() if trainer is MlpTrainer else CnnReader()
    reader.load_artefact("digits@1", path)
    path.unlink()
    return reader


def asked(given: dict[str, Any], **fields: Any) -> RecordedWork:
    return work_for(MlpReader, given, model="digits@1", **fields)


def test_it_reads_what_was_held_out_as_well_as_the_training_said(
    reader: MlpReader | CnnReader, whole: tuple[RecordedWork, dict[str, Any]]
) -> None:
    data = split(0.2, SHORT["seed"])
    rows = (data.held_out * SHADES).round().tolist()

    output = sent(reader.run(asked({"rows": rows})))

    right = np.mean(np.array(output["labels"]) == data.held_out_digits)
    assert right == pytest.approx(whole[1]["model"]["metrics"]["val_accuracy"])
    assert np.sum(output["probabilities"], axis=1) == pytest.approx(1, abs=1e-4)
    assert len(output["probabilities"][0]) == 10


def test_beside_the_truth_it_tells_how_many_it_read_right(
    reader: MlpReader | CnnReader, whole: tuple[RecordedWork, dict[str, Any]]
) -> None:
    data = split(0.2, SHORT["seed"])
    rows = (data.held_out * SHADES).round().tolist()

    output = sent(reader.run(asked({"rows": rows, "truth": data.held_out_digits.tolist()})))

    assert output["accuracy"] == pytest.approx(whole[1]["model"]["metrics"]["val_accuracy"])


@pytest.mark.parametrize("truth", [[], [1, 2], [10], [-1]])
def test_a_truth_names_a_digit_for_each_picture(truth: list[int]) -> None:
    with pytest.raises(BadInput, match="truth"):
        asked({"rows": [[0.0] * 64], "truth": truth})


@pytest.mark.parametrize("ink", ["dark", "light"])
def test_it_reads_a_picture_whichever_colour_the_ink_has(
    reader: MlpReader | CnnReader, ink: str
) -> None:
    data = split(0.2, SHORT["seed"])
    rows = (data.held_out[:1] * SHADES).tolist()
    shades = data.held_out[0].reshape(8, 8)
    pixels = np.uint8(255 * (1 - shades if ink == "dark" else shades))
    file = io.BytesIO()
    Image.fromarray(pixels).resize((80, 80), Image.Resampling.NEAREST).save(file, "PNG")

    of_rows = sent(reader.run(asked({"rows": rows})))
    work = asked({"image": {"blob": "it"}}, inputs={"it": file.getvalue()})
    of_picture = sent(reader.run(work))

    assert as_row(file.getvalue()) == pytest.approx(data.held_out[:1], abs=0.02)
    assert of_picture["labels"] == of_rows["labels"]


@pytest.mark.parametrize("given", [{}, {"rows": [[0.0] * 64], "image": {"blob": "it"}}])
def test_it_is_asked_for_rows_or_for_a_picture(given: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="one of the two"):
        asked(given)


@pytest.mark.parametrize("row", [[0.0] * 63, [17.0] * 64, []])
def test_a_row_that_is_no_picture_is_refused(row: list[float]) -> None:
    with pytest.raises(BadInput, match="rows"):
        asked({"rows": [row]})


def test_it_has_no_model_of_its_own(reader: MlpReader | CnnReader) -> None:
    with pytest.raises(NoModelOfItsOwn):
        reader.load("digits-mlp")


def test_it_lets_go_of_a_model(
    reader: MlpReader | CnnReader,
    whole: tuple[RecordedWork, dict[str, Any]],
    tmp_path: Path,
) -> None:
    path = tmp_path / "model"
    path.write_bytes(artefact_of(*whole))
    reader.load_artefact("digits@2", path)

    reader.unload("digits@2")

    with pytest.raises(KeyError):
        reader.run(work_for(MlpReader, {"rows": [[0.0] * 64]}, model="digits@2"))


# -- files from anywhere --------------------------------------------------------------------------------


class Evil:
    @override
    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was unpickled",))


def with_an_object() -> bytes:
    file = io.BytesIO()
    objects = np.array([Evil()], dtype=object)
    np.savez(file, coef=objects, about=np.frombuffer(b"{}", dtype=np.uint8))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        with_an_object(),
        pack({}, {}),
        pack({"coef.0": np.zeros((64, 10)), "intercept.0": np.zeros(9)}, {}),
        pack({"coef.0": np.zeros((3, 10)), "intercept.0": np.zeros(10)}, {}),
        pack({"coef.0": np.zeros((64, 10)), "coef.1": np.zeros(1)}, {}),
        pack({"coef.0": np.zeros(64), "intercept.0": np.zeros(())}, {}),
    ],
    ids=["empty", "cut off", "with an object", "none", "odd", "too small", "half", "flat"],
)
def test_a_file_that_is_no_network_is_refused_and_never_run(data: bytes) -> None:
    with pytest.raises(Unreadable):
        mlp.opened(data)


def test_an_archive_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.engines.digits.arrays._MOST_BYTES", 1000)

    with pytest.raises(Unreadable, match="more than 1000 bytes"):
        unpack(pack({"zeros": np.zeros(1000)}, {}))


def test_tensors_come_back_as_they_were_written() -> None:
    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([[1.5]], dtype=np.float32),
    }

    back, about = safetensors.read(safetensors.write(tensors, {"by": "a test"}))

    assert about == {"by": "a test"}
    assert list(back) == ["a", "b"]
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        b"\x02\0\0\0\0\0\0\0[]",
        safetensors.write({"a": np.zeros(3)}, {})[:-1],
        safetensors.write({"a": np.zeros(3)}, {}).replace(b'"shape":[3]', b'"shape":[4]'),
        safetensors.write({"a": np.zeros(3)}, {}).replace(b"F32", b"I32"),
    ],
    ids=["empty", "too long", "no header", "cut off", "odd", "of whole numbers"],
)
def test_a_file_that_is_no_safetensors_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        safetensors.read(data)
