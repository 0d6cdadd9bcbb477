// Generated from the api's OpenAPI description by `make docs`; do not edit.
// `Calls` has one entry an operation, the rest are the schemas that they and the frames use.

export interface Calls {
  "POST /jobs": {
    path: undefined;
    query: undefined;
    body: JobRequest;
    answer: JobView;
  };
  "GET /jobs": {
    path: undefined;
    query: { state?: State | null; kind?: string | null; model?: string | null; label?: string | null; created_after?: string | null; created_before?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: JobsPage;
  };
  "POST /jobs/inference": {
    path: undefined;
    query: undefined;
    body: JobRequest;
    answer: JobView;
  };
  "GET /jobs/statuses": {
    path: undefined;
    query: { id: string[] };
    body: undefined;
    answer: OneStatusView[];
  };
  "GET /jobs/{job}": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "GET /jobs/{job}/status": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: StatusView;
  };
  "GET /jobs/{job}/result": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: ResultView | StatusView;
  };
  "GET /jobs/{job}/timeline": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: TimelineView;
  };
  "GET /jobs/{job}/explain": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: ExplainView;
  };
  "GET /models": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: ModelView[];
  };
  "GET /jobs/{job}/logs": {
    path: { job: string };
    query: { limit?: number };
    body: undefined;
    answer: JobLogView;
  };
  "POST /jobs/{job}/cancel": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "POST /jobs/{job}/retry": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "GET /jobs/{job}/events": {
    path: { job: string };
    query: { ticket?: string | null; after?: string | null };
    body: undefined;
    answer: Blob;
  };
  "POST /tickets": {
    path: undefined;
    query: { job?: string | null };
    body: undefined;
    answer: TicketView;
  };
  "POST /blobs": {
    path: undefined;
    query: undefined;
    body: Blob;
    answer: BlobView;
  };
  "GET /blobs/{blob}": {
    path: { blob: string };
    query: undefined;
    body: undefined;
    answer: Blob;
  };
}

/** A new attempt begins or will begin: forget what earlier epochs showed. */
export interface Attempt {
  type: "attempt";
  attempt: number;
  reason?: string | null;
  retry_in_s?: number | null;
}

export interface AttemptView {
  attempt: number;
  epoch: number;
  worker: string;
  /** From when it could have run to when it did. */
  waited_s: number | null;
  started_at: string;
  ended_at: string | null;
  outcome: string | null;
  error: ErrorView | null;
  stages: StagesView | null;
}

export interface BlobView {
  blob: string;
  media_type: string;
  size: number;
}

export interface CancelAfter {
  /** Seconds without any watcher. */
  cancel_after: number;
}

export interface Cancelled {
  type: "cancelled";
}

export interface Cancelling {
  type: "cancelling";
}

export interface Dead {
  type: "dead";
  error: Record<string, unknown>;
}

/** A worker that can run the job. */
export interface EligibleView {
  worker: string;
  slots: number;
  seen_at: string;
}

/** Why a job did not succeed: `kind` is for programs, `message` for people. */
export interface ErrorView {
  kind: string;
  message: string;
  field?: string | null;
  detail?: string | null;
}

/** Why a job is where it is. */
export interface ExplainView {
  state: State;
  /** What holds it back, for programs. */
  rule: Rule;
  /** The same for people. */
  why: string;
  /** What would help; any of these. */
  relax: string[];
  lane: string;
  paused_since: string | null;
  workers: EligibleView[];
  /** Of these workers, for this lane. */
  slots: number;
  running_in_lane: number;
  offered_in_lane: number;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  not_before: string | null;
  start_deadline: string | null;
  tenant: ShareView;
}

export interface Failed {
  type: "failed";
  error: Record<string, unknown>;
}

export type Frame = Queued | Started | Attempt | Progress | Token | Preview | Log | Metric | Reset | Cancelling | Succeeded | Failed | Cancelled | Dead;

export interface JobLogView {
  id: string;
  state: State;
  trace_id: string | null;
  lines: LogLineView[];
  /** Earlier lines of its engines, beyond `limit`. */
  left_out: number;
  /** false: the live stream is gone or away, and its engines may have said more. */
  complete: boolean;
}

export interface JobRequest {
  kind: string;
  /** The kind's default when left out. */
  model?: string | null;
  /** Fits the `input_schema` that `GET /models` tells for the kind and model. */
  input: Record<string, unknown>;
  /** Higher first, within one tenant. */
  priority?: number;
  /** Not before this time. */
  run_at?: string | null;
  /** Fail if it has not started by then. */
  start_deadline?: string | null;
  /** Seconds one attempt may run. */
  timeout?: number;
  labels?: Record<string, unknown>;
  /** What becomes of it when its last watcher has left. Unwatched jobs go on. */
  on_disconnect?: string | CancelAfter;
}

export interface JobView {
  id: string;
  kind: string;
  model: string;
  state: State;
  /** How many times it was given to a worker. */
  attempt: number;
  /** The job that somebody retried by hand. */
  retry_of: string | null;
  /** How far, 0 to 1, as last reported. */
  progress: number | null;
  priority: number;
  labels: Record<string, string>;
  input: Record<string, unknown>;
  /** What the engine made; null until it succeeded. */
  result: JsonValue;
  error: ErrorView | null;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: Links;
}

export interface JobsPage {
  jobs: JobView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export type JsonValue = unknown;

export interface Links {
  self: string;
  status: string;
  result: string;
  events: string;
  ws: string;
  cancel: string;
  retry: string;
  timeline: string;
}

export interface Log {
  type: "log";
  line: string;
}

export interface LogLineView {
  source: "job" | "attempt" | "engine";
  text: string;
  /** null for an engine's: it stands where it was said. */
  at: string | null;
  attempt: number | null;
  /** Of an engine's line, in the job's stream. */
  position: string | null;
}

export interface Metric {
  type: "metric";
  name: string;
  value: number;
  step?: number | null;
}

export interface ModelView {
  kind: string;
  model: string;
  title: string;
  input_schema: Record<string, unknown>;
}

export interface OneStatusView {
  state: State;
  attempt: number;
  progress: number | null;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  /** Seconds until it ends, where progress tells. */
  eta_s: number | null;
  id: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface Preview {
  type: "preview";
  image: string;
  step?: number | null;
}

export interface Progress {
  type: "progress";
  fraction?: number | null;
  step?: number | null;
  steps?: number | null;
  stage?: string | null;
  note?: string | null;
}

export interface Queued {
  type: "queued";
  position?: number | null;
  eta_s?: number | null;
}

/** The log no longer reaches back to the watcher's position: start over from this state. */
export interface Reset {
  type: "reset";
  snapshot: Record<string, unknown>;
}

export interface ResultView {
  state: State;
  result: JsonValue;
  error: ErrorView | null;
}

/** In the order they are looked at: what blocks most comes first. */
export type Rule = "ended" | "running" | "cancelling" | "start_deadline" | "scheduled" | "retry_later" | "lane_paused" | "lane_unusable" | "no_producer" | "no_worker" | "offered" | "tenant_cap" | "lane_cap" | "slots_busy" | "next";

/** What the job's tenant gets, and what it has running or offered. */
export interface ShareView {
  weight: number;
  running: number;
  max_running: number | null;
  running_in_lane: number;
  max_running_per_lane: number | null;
}

/** Where an attempt's time went, in seconds. */
export interface StagesView {
  claim_s: number;
  load_s: number;
  run_s: number;
  store_s: number;
}

export interface Started {
  type: "started";
  worker: string;
  attempt: number;
}

export type State = "scheduled" | "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "dead";

export interface StatusView {
  state: State;
  attempt: number;
  progress: number | null;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  /** Seconds until it ends, where progress tells. */
  eta_s: number | null;
}

export interface Succeeded {
  type: "succeeded";
  result: unknown;
}

export interface TicketView {
  /** Send it as `?ticket=`, once. */
  ticket: string;
  expires_in_s: number;
}

export interface TimelineView {
  id: string;
  state: State;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  cancel_asked_at: string | null;
  cancel_reason: "asked" | "disconnected" | null;
  /** From the wish to cancel it to its end. */
  cancel_s: number | null;
  /** From submission to the end. */
  total_s: number | null;
  trace_id: string | null;
  /** Where to look at it, if TRACE_URL is set. */
  trace_url: string | null;
  attempts: AttemptView[];
}

export interface Token {
  type: "token";
  text: string;
}
