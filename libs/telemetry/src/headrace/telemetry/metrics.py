"""Every metric there is, with what it means and what to do about it: `docs/metrics.md` is written from here."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import disable_created_metrics

from headrace.contracts.frames import TERMINAL_TYPES
from headrace.core.job import TERMINAL
from headrace.core.ports.bus import Sent
from headrace.core.ports.dead_letters import Source
from headrace.core.retry import ErrorKind
from headrace.telemetry.catalog import MOST_DEVICES, MOST_LANES, Bounded, Catalog

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, that nobody asks for
CATALOG: Final = Catalog()
LANES: Final = Bounded(MOST_LANES, "lane")
STAGES: Final = ("claim", "load", "run", "store")
_ROUTES: Final = Bounded(128, "route, as /docs has it")
_DEVICES: Final = Bounded(MOST_DEVICES, "number of the device")
_STATES: Final = sorted(TERMINAL)
_ERRORS: Final = (*get_args(ErrorKind), "released")
_OUTCOMES: Final = ("succeeded", "failed", "cancelled", "released", "lost", "stale")
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "WEBSOCKET")
_STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_LOOPS: Final = Bounded(32, "name of the loop")
_QUEUES: Final = ("work", "claims", "heartbeats", "results", "mailbox", "dead")
_FRAMES: Final = (
    *("queued", "started", "attempt", "progress", "token", "preview", "segment", "log", "metric"),
    *("cancelling", "reset"),
    *sorted(TERMINAL_TYPES),
)

# A job waits and runs from milliseconds to hours, a message or a transaction takes milliseconds.
_LONG: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400)
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# -- jobs: told by the dispatcher that decided --------------------------------------------------------

QUEUE_WAIT: Final = CATALOG.histograms(
    "headrace_queue_wait_seconds",
    "From when a job could have run until a worker was granted it.",
    do="Grows with the backlog: more slots, or `headrace explain` for one that its exemplar names.",
    buckets=_LONG,
    lane=LANES,
)
STAGE: Final = CATALOG.histograms(
    "headrace_stage_seconds",
    "Where an attempt's time went; `run` is the engine's own.",
    do="`claim` slow: the dispatcher or the broker. `load`: models change too often. `store`: the blobs.",
    buckets=_LONG,
    lane=LANES,
    stage=STAGES,
)
ATTEMPTS_ENDED: Final = CATALOG.counters(
    "headrace_attempts_ended_total",
    "Attempts by what became of them; `lost` fell silent, `stale` came too late to count.",
    do="`failed`: `headrace dead-letters`. `lost`: out of memory, or a network that loses heartbeats.",
    lane=LANES,
    outcome=_OUTCOMES,
)
RETRIES: Final = CATALOG.counters(
    "headrace_retries_total",
    "Jobs that go back for another attempt, by why.",
    do="`internal` is the engine's, `worker_lost` the machine's; `released` is a deploy.",
    lane=LANES,
    reason=_ERRORS,
)
JOBS_ENDED: Final = CATALOG.counters(
    "headrace_jobs_ended_total",
    "Jobs that reached their end.",
    do="`dead` and `failed` beside `succeeded` is the rate of failure.",
    state=_STATES,
)
JOB: Final = CATALOG.histograms(
    "headrace_job_seconds",
    "From submission to the end, retries and all.",
    do="What a client waits for. `headrace trace` shows where the time of one went.",
    buckets=_LONG,
    lane=LANES,
    state=_STATES,
)
DEAD_LETTERS: Final = CATALOG.counters(
    "headrace_dead_letters_total",
    "Messages and jobs that were parked for a person.",
    do="`headrace dead-letters` groups them by cause.",
    source=sorted(Source),
)
CLAIMS: Final = CATALOG.counters(
    "headrace_claims_total",
    "Claims of workers, by the answer.",
    do="Some `taken` and `stale` are usual after a restart; many all the time: offers are repeated, below. "
    "`elsewhere`: its model is loaded on another worker, to which it is offered again.",
    answer=("granted", "unknown", "stale", "taken", "over", "elsewhere"),
)
OFFERS_SENT: Final = CATALOG.counter(
    "headrace_offers_sent_total",
    "Offers that the bus has kept.",
    do="Stands still while jobs wait and slots are free: the release loop, or the broker.",
)
OFFERS_REPEATED: Final = CATALOG.counter(
    "headrace_offers_repeated_total",
    "Offers that the broker had lost and that were sent again.",
    do="Nothing, once. All the time: queues are deleted, or the broker is replaced.",
)
MESSAGES_SETTLED: Final = CATALOG.counters(
    "headrace_messages_settled_total",
    "Messages tried again or buried.",
    do="`retried` lasts as long as an outage. `buried` is in `headrace dead-letters`.",
    outcome=("retried", "buried"),
)
SCHEDULES_FIRED: Final = CATALOG.counters(
    "headrace_schedules_fired_total",
    "Times that a schedule was due.",
    do="`failed` and `refused` say why in `headrace schedules show`.",
    outcome=("job", "run", "failed", "refused", "skipped"),
)
BATCH_ITEMS: Final = CATALOG.counters(
    "headrace_batch_items_total",
    "Items of batches that began as jobs, or ended at once and without one.",
    do="`rejected` ones say why in `headrace batch results BATCH --errors`.",
    outcome=("begun", "rejected", "cancelled"),
)
WEBHOOK_CALLS: Final = CATALOG.counters(
    "headrace_webhook_calls_total",
    "Calls to receivers of webhooks; `failed` ones are made again later.",
    do="`headrace webhooks` says which failed and why; one receiver's trouble holds up nobody else.",
    outcome=("delivered", "failed", "given_up"),
)
WEBHOOK_CALL: Final = CATALOG.histogram(
    "headrace_webhook_call_seconds",
    "How long a receiver took to answer.",
    do="Up to 15 s: a slow receiver holds a place in its own share of the pool, and no job.",
    buckets=_SHORT,
)

# -- how things stand: the same from every dispatcher, read from the store ----------------------------

OUTBOX_WAITING: Final = CATALOG.gauges(
    "headrace_outbox_waiting",
    "Jobs of a lane that wait to be offered, counted up to 10,000.",
    do="The backlog. With free slots it is held back: paused, or by caps.",
    lane=LANES,
)
OUTBOX_OFFERED: Final = CATALOG.gauges(
    "headrace_outbox_offered",
    "Offers of a lane that nobody has claimed yet.",
    do="Twice the slots is full. Never falls: workers do not take; look at their logs.",
    lane=LANES,
)
OUTBOX_OLDEST: Final = CATALOG.gauges(
    "headrace_outbox_oldest_seconds",
    "How long the job that waits longest could have run.",
    do="The first sign that a lane does not move.",
    lane=LANES,
)
LEASES: Final = CATALOG.gauges(
    "headrace_leases",
    "Jobs that a worker holds.",
    do="What runs now.",
    lane=LANES,
)
SLOTS: Final = CATALOG.gauges(
    "headrace_slots",
    "Slots of workers heard of in the last 30 s.",
    do="0 while jobs wait: start a worker, or look why its engine is absent.",
    lane=LANES,
)
WORKERS: Final = CATALOG.gauge(
    "headrace_workers",
    "Workers heard of in the last 30 s.",
    do="Fewer than were started: their machines, or the broker.",
)

# -- inside a process ----------------------------------------------------------------------------------

LOOP_LAST_SUCCESS: Final = CATALOG.gauges(
    "headrace_loop_last_success_timestamp_seconds",
    "When a background loop last finished a turn.",
    do="Old: the log has `loop.turn_failed` with the reason.",
    loop=_LOOPS,
)
LOOP_TURN: Final = CATALOG.histograms(
    "headrace_loop_turn_seconds",
    "How long a background loop's turn took.",
    do="Near 10 s it is cut off: the store or the broker is slow.",
    buckets=_SHORT,
    loop=_LOOPS,
)
EVENT_LOOP_LAG: Final = CATALOG.histogram(
    "headrace_event_loop_lag_seconds",
    "How late the event loop woke up.",
    do="Above 0.1 s: too little CPU, or something blocks; leases and streams suffer.",
    buckets=_SHORT,
)
STORE: Final = CATALOG.histograms(
    "headrace_store_transaction_seconds",
    "Transactions, from wanting a connection to the commit.",
    do="Slow: the database, or its pool is too small. `unavailable`: it does not answer.",
    buckets=_SHORT,
    outcome=("committed", "rolled_back", "unavailable"),
)
BUS_SEND: Final = CATALOG.histograms(
    "headrace_bus_send_seconds",
    "Batches of messages, from sending to the broker's confirm.",
    do="Slow: the broker's disk, or an alarm of its memory.",
    buckets=_SHORT,
    queue=_QUEUES,
)
BUS_SENT: Final = CATALOG.counters(
    "headrace_bus_sent_total",
    "Messages by what became of them.",
    do="`unknown`: the broker did not answer. `unroutable`: a queue or a mailbox is gone.",
    queue=_QUEUES,
    outcome=sorted(Sent),
)

# -- streams, and who watches ---------------------------------------------------------------------------

STREAM_LAG: Final = CATALOG.histogram(
    "headrace_stream_lag_seconds",
    "From when an engine said a frame until its job's log had it: the first frame of each batch.",
    do="Redis, or the way to it.",
    buckets=_SHORT,
)
STREAM_APPEND: Final = CATALOG.histograms(
    "headrace_stream_append_seconds",
    "Writes to the streams' logs.",
    do="Slow or `unavailable`: Redis. Live views lag; results do not.",
    buckets=_SHORT,
    outcome=("applied", "stale", "unavailable"),
)
FRAMES: Final = CATALOG.counters(
    "headrace_frames_total",
    "Frames that were written to the streams' logs.",
    do="Tokens a second, all jobs together, is the rate of `token`.",
    type=_FRAMES,
)
FRAMES_DROPPED: Final = CATALOG.counter(
    "headrace_frames_dropped_total",
    "Frames that a worker gave up because the streams did not take them; their readers see a reset.",
    do="Redis was away, or is too slow for what the engines say.",
)
WATCHERS: Final = CATALOG.gauges(
    "headrace_watchers",
    "Streams that are being watched, by the way.",
    do="Each costs a task or two; a connection has at most 64.",
    door=("sse", "websocket"),
)
HTTP: Final = CATALOG.histograms(
    "headrace_http_request_seconds",
    "Requests until the head of their answer; of a WebSocket, all of its life.",
    do="5xx: the log has `http.failed` or `dependency.down`. 429: a tenant's queue is full.",
    buckets=_SHORT,
    method=_METHODS,
    route=_ROUTES,
    status=_STATUSES,
)
HTTP_RUNNING: Final = CATALOG.gauge(
    "headrace_http_requests_running",
    "Requests that wait for the head of their answer.",
    do="Grows: the store is slow.",
)

# -- a worker's machine -----------------------------------------------------------------------------------

WORKER_SLOTS: Final = CATALOG.gauges(
    "headrace_worker_slots",
    "This worker's slots: at work, free, or not ready (starting, or its engine is broken).",
    do="`not_ready` for long: the log has `slot.not_ready` with the reason.",
    lane=LANES,
    standing=("busy", "free", "not_ready"),
)
ENGINE_MEMORY: Final = CATALOG.gauges(
    "headrace_engine_memory_bytes",
    "Resident memory of a lane's engine processes, with what they started.",
    do="Grows from job to job: the engine leaks. Near the limit: fewer slots.",
    lane=LANES,
)
BATCH_JOBS: Final = CATALOG.histograms(
    "headrace_batch_jobs",
    "Jobs that a lane's engine did in one go, where it does several.",
    do="1 under load: more slots, or the jobs ask for different models. Shrinking: `batch.too_large` in the log.",
    buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
    lane=LANES,
)
MODEL_LOADS: Final = CATALOG.counters(
    "headrace_model_loads_total",
    "Jobs that came to a slot, by whether their model was loaded there already (`warm`).",
    do="Many `no`: models change too often. More memory for the lane, or more workers: `headrace workers`.",
    lane=LANES,
    warm=("yes", "no"),
)
MODEL_LOAD: Final = CATALOG.histograms(
    "headrace_model_load_seconds",
    "How long an engine took to load a model, what a job waits that comes to a cold slot.",
    do="Slow: the disk, or the engine; the download of an artefact is not in it.",
    buckets=_LONG,
    lane=LANES,
)
MODEL_EVICTIONS: Final = CATALOG.counters(
    "headrace_model_evictions_total",
    "Models that were let go of, so that another has room.",
    do="As many as cold loads: the lane's memory does not hold what is asked for; raise MODEL_MEMORY_MIB.",
    lane=LANES,
)
ENGINE_GPU_MEMORY: Final = CATALOG.gauges(
    "headrace_engine_gpu_memory_bytes",
    "Memory of GPUs that a lane's engine processes hold, as the driver says.",
    do="Which lane to give less, by TORCH_MEMORY_MIB or fewer slots. Untold where the driver does not know our processes.",
    lane=LANES,
)
GPU_UTILISATION: Final = CATALOG.gauges(
    "headrace_gpu_utilisation_ratio",
    "How much of the time the device computed, as its driver says.",
    do="Low while slots are busy: the CPU or the loading holds it up.",
    gpu=_DEVICES,
)
GPU_MEMORY_USED: Final = CATALOG.gauges(
    "headrace_gpu_memory_used_bytes",
    "Memory of the device that is in use, by anybody.",
    do="Near the total: the next load fails with `resource`.",
    gpu=_DEVICES,
)
GPU_MEMORY_TOTAL: Final = CATALOG.gauges(
    "headrace_gpu_memory_total_bytes", "Memory of the device.", do="-", gpu=_DEVICES
)

# -- the rollout between the two paths -----------------------------------------------------------------

ROLLBACKS: Final = CATALOG.counter(
    "headrace_rollbacks_total",
    "Times that the guard took a rollout back.",
    do="`headrace rollout` says what was measured against what.",
)
SHADOWS_COMPARED: Final = CATALOG.counters(
    "headrace_shadows_compared_total",
    "Jobs that ran on both paths, compared.",
    do="`different` is in `headrace rollout`, with how it differs.",
    outcome=("same", "different"),
)

# -- telemetry itself --------------------------------------------------------------------------------------

SPANS_SENT: Final = CATALOG.counter(
    "headrace_spans_sent_total", "Spans that the collector took.", do="-"
)
SPANS_DROPPED: Final = CATALOG.counters(
    "headrace_spans_dropped_total",
    "Spans that were given up: the queue was full, or the collector did not take them.",
    do="Traces have holes until the collector is back; jobs are as fast as ever.",
    reason=("queue_full", "not_taken", "left_at_exit"),
)
