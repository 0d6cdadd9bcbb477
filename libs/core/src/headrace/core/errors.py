"""What can go wrong in the core: one root, few leaves, each with its fields."""

from __future__ import annotations


class HeadraceError(Exception):
    """The root of every error the core or an adapter raises on purpose."""


class Unavailable(HeadraceError):
    """A dependency did not answer in time or refused; the same call may succeed later."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is unavailable: {why}")
        self.what, self.why = what, why


class Misconfigured(HeadraceError):
    """Something is set up in a way that cannot work; retrying does not help, a person does."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem, self.remedy = problem, remedy


class TooLarge(HeadraceError):
    """A message or blob is over its bound and was not sent or kept."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} has {size} bytes; the limit is {limit}")
        self.what, self.size, self.limit = what, size, limit


class BadMessage(HeadraceError):
    """A message that no version of ours can read: it is parked, never retried."""


class JobNotFound(HeadraceError):
    """No such job for this tenant (which does not say whether another tenant has it)."""

    def __init__(self, job: str) -> None:
        super().__init__(f"no job {job}")
        self.job = job


class BlobNotFound(HeadraceError):
    def __init__(self, blob: str) -> None:
        super().__init__(f"no blob {blob}")
        self.blob = blob


class TenantQueueFull(HeadraceError):
    """The tenant has as many jobs waiting as it may."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"this tenant has its {limit} jobs waiting; more can come when some started"
        )
        self.limit, self.retry_after_s = limit, retry_after_s


class QueuesFull(HeadraceError):
    """All tenants together have as many jobs waiting as this installation takes."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("there is no room for more waiting jobs at the moment")
        self.retry_after_s = retry_after_s


class UnknownModel(HeadraceError):
    """Nobody has announced an engine for this kind, or none with this model."""

    def __init__(self, kind: str, model: str | None, known: list[str]) -> None:
        wanted = f"kind {kind!r}" if model is None else f"model {model!r} of kind {kind!r}"
        super().__init__(f"no engine runs {wanted}; known: {', '.join(known) or 'none yet'}")
        self.kind, self.model, self.known = kind, model, known


class NoDefault(UnknownModel):
    """Engines of this kind serve registered models alone, so one has to be named."""

    def __init__(self, kind: str, known: list[str]) -> None:
        super().__init__(kind, "", known)
        self.args = (
            f"kind {kind!r} has no model that is its own: name a registered one; {_told(known)}",
        )


class NotHere(UnknownModel):
    """A kind that this address does not take, though there may well be engines for it."""

    def __init__(self, kind: str, known: list[str], where: str) -> None:
        super().__init__(kind, None, known)
        self.args = (f"kind {kind!r} is taken at {where}; here: {', '.join(known) or 'none yet'}",)


class UnknownVersion(UnknownModel):
    """A registered model that has no such version, or had it."""

    def __init__(self, kind: str, model: str, known: list[str]) -> None:
        super().__init__(kind, model, known)
        self.args = (f"there is no {model!r}; {_told(known)}",)


class NotServed(UnknownModel):
    """A registered model whose format no engine of this kind can load."""

    def __init__(self, kind: str, model: str, format_: str, served: list[str]) -> None:
        super().__init__(kind, model, served)
        why = f"{model!r} is in the format {format_!r}, which no engine of kind {kind!r} serves"
        self.args = (f"{why}; served: {', '.join(served) or 'none'}",)
        self.format = format_


class InvalidInput(HeadraceError):
    """The job's input does not fit its engine's schema. `pointer` is a JSON Pointer into the input."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(f"{pointer or '/'}: {why}")
        self.pointer, self.why = pointer, why


class IdempotencyConflict(HeadraceError):
    """The key was used before with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used before with a different request")
        self.key = key


class JobNotOver(HeadraceError):
    """Only a job that has ended can be retried by hand, or deleted."""

    def __init__(self, job: str, state: str, what: str = "retried") -> None:
        super().__init__(f"job {job} is {state}; only a job that has ended can be {what}")
        self.job, self.state = job, state


class JobNotWaiting(HeadraceError):
    """Only a job that waits, and is offered to nobody yet, has a place that can be changed."""

    def __init__(self, job: str, why: str) -> None:
        super().__init__(f"job {job} {why}; only a job that waits can be moved")
        self.job, self.why = job, why


class WorkerNotFound(HeadraceError):
    def __init__(self, worker: str) -> None:
        super().__init__(f"no worker {worker}")
        self.worker = worker


class BadSchedule(HeadraceError):
    """A schedule that can never fire as it is written. `pointer` says what is wrong."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(f"{pointer}: {why}")
        self.pointer, self.why = pointer, why


class ScheduleNotFound(HeadraceError):
    """No such schedule for this tenant."""

    def __init__(self, schedule: str) -> None:
        super().__init__(f"no schedule {schedule}")
        self.schedule = schedule


class KeyNotFound(HeadraceError):
    def __init__(self, key: str) -> None:
        super().__init__(f"no key {key}")
        self.key = key


class LetterNotFound(HeadraceError):
    def __init__(self, number: int) -> None:
        super().__init__(f"no dead letter {number}")
        self.number = number


class LetterSettled(HeadraceError):
    """Somebody has replayed or discarded it already, or asked for that."""

    def __init__(self, number: int, how: str) -> None:
        super().__init__(f"dead letter {number} is {how}")
        self.number, self.how = number, how


class RolloutFixed(HeadraceError):
    """The environment says this, and holds over what anybody stores."""

    def __init__(self, variables: list[str]) -> None:
        names = " and ".join(variables)
        super().__init__(
            f"{names} fixes this in the environment of the api: change it there, or unset it"
        )
        self.variables = variables


class RolloutUnsaid(HeadraceError):
    """Nothing is stored yet, and the two sides would begin with different percents."""

    def __init__(self) -> None:
        super().__init__(
            "both paths are attended and no percent is stored: until then each api process sends all"
            " to the side that its EXECUTION_MODE names. Say a percent first, such as 0"
        )


class RolloutMoved(HeadraceError):
    """Somebody changed the rollout since it was read."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the rollout is at version {version} now; read it again")
        self.version = version


class PathMissing(HeadraceError):
    """Jobs would be sent where nobody could run them."""


class UserNotFound(HeadraceError):
    def __init__(self, user: str) -> None:
        super().__init__(f"no user {user}")
        self.user = user


class SharedKeyNotFound(HeadraceError):
    """None that is there still, or none of this user's."""

    def __init__(self) -> None:
        super().__init__("no such shared key")


class TooManySharedKeys(HeadraceError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"a user has {limit} shared keys at most; delete one")
        self.limit = limit


class NotEnoughKudos(HeadraceError):
    """Amounts are milli-kudos."""

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(f"this needs {_kudos(needed)} kudos, and there are {_kudos(available)}")
        self.needed, self.available = needed, available


class SharedKeySpent(HeadraceError):
    """The user may have more; this key of theirs may not."""

    def __init__(self, needed: int, left: int) -> None:
        super().__init__(
            f"this needs {_kudos(needed)} kudos, and the shared key has {_kudos(left)} left"
        )
        self.needed, self.left = needed, left


class TooManyPrompts(HeadraceError):
    """A user has as many jobs that have not ended as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"this user may have {limit} jobs that have not ended; wait for one")
        self.limit = limit


class TransferRefused(HeadraceError):
    """Kudos that go nowhere."""


class WrongEntry(HeadraceError):
    """The books refuse what was decided: an entry that is there, or an account below its floor."""


def _told(known: list[str]) -> str:
    return f"known: {', '.join(known) or 'none'}"


def _kudos(amount: int) -> str:
    return f"{amount / 1000:g}"


class BadWebhook(HeadraceError):
    """An address that is not called from here, or an event that there is not."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(why)
        self.pointer = pointer


class EndpointNotFound(HeadraceError):
    def __init__(self, endpoint: str) -> None:
        super().__init__(f"no webhook {endpoint}")
        self.endpoint = endpoint


class TooManyEndpoints(HeadraceError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} webhooks are the most that a tenant may have")
        self.limit = limit


class CallNotFound(HeadraceError):
    def __init__(self, call: str) -> None:
        super().__init__(f"no delivery {call}")
        self.call = call


class NobodyToCall(HeadraceError):
    """A delivery whose endpoint is gone or disabled cannot be repeated."""

    def __init__(self, call: str, why: str) -> None:
        super().__init__(f"delivery {call} cannot be repeated: {why}")
        self.call = call


class BadPipeline(HeadraceError):
    """A pipeline that cannot work as it is declared, or with the engines there are."""

    def __init__(self, pipeline: str, stage: str | None, why: str) -> None:
        where = f"pipeline {pipeline!r}" + ("" if stage is None else f", stage {stage!r}")
        super().__init__(f"{where}: {why}")
        self.pipeline, self.stage, self.why = pipeline, stage, why


class UnknownPipeline(HeadraceError):
    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no pipeline {name!r}; known: {', '.join(known) or 'none'}")
        self.name, self.known = name, known


class RunNotFound(HeadraceError):
    """No such run for this tenant."""

    def __init__(self, run: str) -> None:
        super().__init__(f"no run {run}")
        self.run = run


class StageNotFound(HeadraceError):
    def __init__(self, run: str, stage: str) -> None:
        super().__init__(f"run {run} has no stage {stage!r}")
        self.run, self.stage = run, stage


class RunNotReady(HeadraceError):
    """The run is in a state in which this cannot be asked of it."""

    def __init__(self, run: str, why: str) -> None:
        super().__init__(f"run {run} {why}")
        self.run, self.why = run, why


class BadModel(HeadraceError):
    """A model, version or route that cannot be as it was asked for. `pointer` says what is wrong."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(why)
        self.pointer = pointer


class ModelNotFound(HeadraceError):
    """No such registered model for this tenant."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no registered model {name!r}")
        self.name = name


class VersionNotFound(HeadraceError):
    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"model {name!r} has no version {number}")
        self.name, self.number = name, number


class ModelNotReady(HeadraceError):
    """The model is as it is, and this cannot be asked of it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"model {name!r} {why}")
        self.name, self.why = name, why
