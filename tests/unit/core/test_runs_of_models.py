"""A run serves the version that it was given when it began, or the one that a stage of its own has trained."""

from __future__ import annotations

from typing import Any, Final

import pytest

from headrace.contracts.ids import Lane, TenantId
from headrace.contracts.messages import EngineCard
from headrace.core.errors import BadPipeline
from headrace.core.models import How, Model, place_of
from headrace.core.pipeline import PROMOTION, Fixed, Given, Made, Many, Of, Pipeline, Plain, Stage
from headrace.core.pipeline import check_pipeline as check
from headrace.core.ports.blobs import BlobRef
from headrace.core.ports.store import Store
from headrace.core.run import PieceState, Run, RunState
from headrace.core.usecases import models as use
from headrace.core.usecases.runs import retry_stage
from headrace.testkit.builders import a_new_version, a_pipeline, a_stage
from headrace.testkit.deciding import ECHO
from headrace.testkit.registering import SERVES, TRAINS, registered, routed
from headrace.testkit.running_runs import TENANT, begin, fail, job_of, look, succeed

MADE: Final = {
    "artefact": {"blob": "weights.bin"},
    "format": "test-weights",
    "sha256": "cd" * 32,
    "bytes": 12,
}
TRAINED: Final = {"model": MADE}


def served(model: str | Made, name: str = "serve", **fields: Any) -> Stage:
    gives = {"accuracy": Plain.NUMBER}
    usual = {"kind": "inference", "model": model, "lane": None, "gives": gives}
    return a_stage(name, **{**usual, **fields})


def trained(**fields: Any) -> Stage:
    usual = {"kind": "training", "model": None, "lane": None, "register_as": "digits"}
    return a_stage("train", **{**usual, **fields})


def promoted(**fields: Any) -> Stage:
    usual: dict[str, Any] = {
        "kind": PROMOTION,
        "model": Made("train"),
        "lane": None,
        "input": {"value": Of("serve", "accuracy"), "least": Fixed(0.9)},
        "gives": {"model": Plain.TEXT},
    }
    return a_stage("promote", **{**usual, **fields})


WHOLE: Final = a_pipeline(trained(), served(Made("train")), promoted())


@pytest.fixture(autouse=True)
async def _engines(store: Store) -> None:
    async with store.begin() as tx:
        await tx.announce_engines([SERVES, TRAINS, ECHO])


async def model_of(store: Store) -> Model:
    async with store.begin() as tx:
        return await use.find_model(tx, TENANT, "digits")


async def evaluated(store: Store, accuracy: float, pipeline: Pipeline = WHOLE) -> Run:
    run = await begin(store, pipeline)
    await succeed(store, await job_of(store, run, "train"), output=TRAINED)
    await succeed(store, await job_of(store, run, "serve"), output={"accuracy": accuracy})
    return (await look(store, run))[0]


# -- a model that is there ----------------------------------------------------------------------------


async def test_a_stage_is_given_the_version_that_the_route_says_for_its_tenant(
    store: Store,
) -> None:
    await registered(store, 2)
    first_half = place_of(TENANT, "digits", TENANT, None) < 50
    await routed(store, {1: 50, 2: 50})

    runs = [await begin(store, a_pipeline(served("digits"))) for _ in range(3)]

    jobs = [await job_of(store, run, "serve") for run in runs]
    assert {job.spec.model for job in jobs} == {"digits@1" if first_half else "digits@2"}
    assert {job.lane for job in jobs} == {SERVES.lane}
    assert all(job.artefact is not None for job in jobs)


async def test_a_run_keeps_its_version_and_the_weights_whatever_becomes_of_the_route(
    store: Store,
) -> None:
    (version,) = await registered(store)
    later = a_pipeline(a_stage(), served("digits", input={"text": Of("first", "text")}))
    run = await begin(store, later)
    await registered(store, 1)
    async with store.begin() as tx:
        for _ in range(2):
            await use.promote(tx, TENANT, "digits", 2, who="me")
        await use.retire(tx, TENANT, "digits", 1, who="me")
        assert await tx.unused([BlobRef(TENANT, version.artefact.blob)]) == []

    await succeed(store, await job_of(store, run, "first"))

    job = await job_of(store, run, "serve")
    assert (job.spec.model, job.artefact) == ("digits@1", version.artefact)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("gone", "no engine runs model 'gone' of kind 'inference'; known: digits"),
        ("digits@7", "there is no 'digits@7'"),
        ("odd", "is in the format 'odd-weights', which no engine of kind 'inference' serves"),
    ],
)
async def test_a_model_that_cannot_be_served_is_refused_before_anything_begins(
    store: Store, model: str, why: str
) -> None:
    await registered(store)
    async with store.begin() as tx:
        odd = a_new_version(tenant=TENANT, name="odd")
        artefact = type(odd.artefact)(TENANT, odd.artefact.blob, "odd-weights", "ab" * 32, 1)
        await use.register(tx, a_new_version(tenant=TENANT, name="odd", artefact=artefact))

    with pytest.raises(BadPipeline) as refused:
        await begin(store, a_pipeline(served(model)))

    assert refused.value.stage == "serve"
    assert why in refused.value.why


async def test_another_tenants_model_is_as_one_that_is_not_there(store: Store) -> None:
    await registered(store, tenant=TenantId("other"))

    with pytest.raises(BadPipeline, match="no engine runs model 'digits'"):
        await begin(store, a_pipeline(served("digits")))


# -- one that the run makes ----------------------------------------------------------------------------


async def test_what_a_stage_has_trained_is_served_by_the_next_and_then_routed(
    store: Store,
) -> None:
    await registered(store)
    run = await begin(store, WHOLE)
    training = await job_of(store, run, "train")
    await succeed(store, training, output=TRAINED)
    serving = await job_of(store, run, "serve")
    await succeed(store, serving, output={"accuracy": 0.97})

    after, pieces = await look(store, run)
    model = await model_of(store)
    assert after.state is RunState.SUCCEEDED
    assert (serving.spec.model, serving.lane) == ("digits@2", SERVES.lane)
    assert serving.artefact is not None
    assert serving.artefact.blob == "weights.bin"
    assert (model.route.weights, model.route.how) == ({2: 1.0}, How.PROMOTED)
    assert model.route.changed_by == f"run {run.id}"
    promotion = pieces["promote", 0]
    assert (promotion.state, promotion.job) == (PieceState.SUCCEEDED, None)
    assert promotion.output == {"model": "digits@2", "version": 2, "route": 2}
    async with store.begin() as tx:
        version = await tx.version(TENANT, "digits", 2)
    assert version is not None
    assert version.job == training.id


async def test_what_is_not_good_enough_is_kept_and_gets_no_job(store: Store) -> None:
    await registered(store)

    run = await evaluated(store, 0.42)

    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "digits@2 is not promoted: its value 0.42 is less than 0.9" in run.error["message"]
    assert ((await model_of(store)).latest, (await model_of(store)).route.weights) == (2, {1: 1.0})


async def test_a_run_may_go_on_without_the_promotion(store: Store) -> None:
    await registered(store)
    lenient = a_pipeline(trained(), served(Made("train")), promoted(on_failure="go_on"))

    run = await evaluated(store, 0.42, lenient)

    assert run.state is RunState.SUCCEEDED
    assert (await model_of(store)).route.weights == {1: 1.0}


async def test_a_promotion_without_conditions_follows_the_training(store: Store) -> None:
    await registered(store)
    run = await begin(store, a_pipeline(trained(), promoted(input={})))

    await succeed(store, await job_of(store, run, "train"), output=TRAINED)

    assert (await look(store, run))[0].state is RunState.SUCCEEDED
    assert (await model_of(store)).route.weights == {2: 1.0}


async def test_a_training_that_registers_nothing_ends_the_run_in_words(store: Store) -> None:
    run = await begin(store, WHOLE)

    await succeed(store, await job_of(store, run, "train"), output={"model": {"format": "?"}})

    after, _ = await look(store, run)
    assert after.state is RunState.FAILED
    assert after.error is not None
    assert after.error["stage"] == "serve"
    assert after.error["message"] == "stage 'train' has registered no version"


async def test_a_version_registered_by_hand_is_not_taken_for_what_the_job_made(
    store: Store,
) -> None:
    run = await begin(store, WHOLE)
    training = await job_of(store, run, "train")
    await registered(store, job=training.id)

    await succeed(store, training, output=TRAINED)

    assert (await job_of(store, run, "serve")).spec.model == "digits@2"


async def test_a_format_that_nobody_serves_ends_the_run_in_words(store: Store) -> None:
    run = await begin(store, WHOLE)

    odd = {"model": {**MADE, "format": "odd-weights"}}
    await succeed(store, await job_of(store, run, "train"), output=odd)

    after, _ = await look(store, run)
    assert after.error is not None
    assert "'digits@1' is in the format 'odd-weights'" in after.error["message"]


async def test_a_training_that_fails_takes_what_would_serve_it_along(store: Store) -> None:
    pipeline = a_pipeline(trained(on_failure="go_on"), served(Made("train")), a_stage("other"))
    run = await begin(store, pipeline)

    await fail(store, await job_of(store, run, "train"))
    await succeed(store, await job_of(store, run, "other"))

    after, pieces = await look(store, run)
    assert after.state is RunState.SUCCEEDED
    assert ("serve", 0) not in pieces


async def test_a_stage_tried_again_serves_the_same_version(store: Store) -> None:
    run = await begin(store, WHOLE)
    await succeed(store, await job_of(store, run, "train"), output=TRAINED)
    await fail(store, await job_of(store, run, "serve"))

    async with store.begin() as tx:
        await retry_stage(tx, TENANT, run.id, "serve")

    assert (await job_of(store, run, "serve")).spec.model == "digits@1"
    assert (await model_of(store)).latest == 1


async def test_a_training_tried_again_is_what_is_served(store: Store) -> None:
    run = await begin(store, a_pipeline(trained(tries=2), served(Made("train"))))
    await fail(store, await job_of(store, run, "train"))

    await succeed(store, await job_of(store, run, "train"), output=TRAINED)

    assert (await job_of(store, run, "serve")).spec.model == "digits@1"


# -- what is declared ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "stage", "why"),
    [
        ([served(Made("gone"))], "serve", "its model is of gone, which is no stage"),
        ([a_stage(), served(Made("first"))], "serve", "which registers no model"),
        ([served(Made("serve"))], "serve", "which registers no model"),
        ([trained(each=Given("texts")), served(Made("train"))], "serve", "which fans out"),
        ([a_stage(register_as="digits")], "first", "only kind 'training' makes one"),
        ([trained(register_as="a b")], "train", "its register_as: a model's name has"),
        ([promoted(model="digits", input={})], "promote", "it has a model of Made(...)"),
        ([trained(), promoted(input={}, lane="x")], "promote", "neither each nor a lane"),
        ([trained(), promoted(input={"least": Fixed(1)})], "promote", "it takes value and least"),
        (
            [trained(), promoted(input={"value": Fixed("much"), "least": Fixed(1)})],
            "promote",
            "its value should be number, and is given text",
        ),
    ],
    ids=[
        "no-stage",
        "no-model",
        "itself",
        "fan-out",
        "no-training",
        "name",
        "named",
        "lane",
        "half",
        "text",
    ],
)
def test_what_cannot_be_served_or_routed_is_refused_and_the_stage_is_named(
    stages: list[Stage], stage: str, why: str
) -> None:
    with pytest.raises(BadPipeline) as refused:
        check(a_pipeline(*stages, takes={"text": Plain.TEXT, "texts": Many(Plain.TEXT)}))

    assert refused.value.stage == stage
    assert why in refused.value.why


async def test_a_kind_whose_engines_serve_no_model_is_refused(store: Store) -> None:
    with pytest.raises(BadPipeline, match="no engine of kind 'echo' serves registered models"):
        await begin(store, a_pipeline(trained(), served(Made("train"), kind="echo")))


async def test_an_engine_that_serves_it_must_take_what_the_stage_is_given(store: Store) -> None:
    strict = {"properties": {"rows": {"type": "array"}}, "additionalProperties": False}
    async with store.begin() as tx:
        card = EngineCard(Lane("strict"), "strict", [], strict, "", ["test-weights"])
        await tx.announce_engines([card])

    with pytest.raises(BadPipeline, match="its engine takes rows, no text"):
        await begin(store, a_pipeline(trained(), served(Made("train"), kind="strict")))


def test_a_pipeline_says_whether_it_changes_models() -> None:
    assert WHOLE.changes_models
    assert not a_pipeline(served("digits")).changes_models
