// What the operators' routes take and answer.

import type {
  AttemptView,
  ExplainView,
  JobView,
  ModelView,
  State,
  TimelineView,
} from "../generated";

export interface Whoami {
  tenant: string | null;
  scopes: string[];
  may_read: boolean;
  may_change: boolean;
  who: string;
}

export interface LaneRow {
  lane: string;
  paused_since: string | null;
  trouble: string | null;
  workers: number;
  slots: number;
  waiting?: number;
  offered?: number;
  running?: number;
  oldest_age_s?: number | null;
}

export interface Middle {
  p50: number | null;
  p95: number | null;
}

export interface PathNow {
  path: string;
  attended: boolean;
  waiting: number;
  running: number;
  ended: number;
  failed: number;
  wait_p50_s: number | null;
  run_p50_s: number | null;
}

export interface Bucket {
  at: string;
  accepted: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  dead: number;
  wait_p50_s: number | null;
}

export interface Overview {
  at: string;
  window_s: number;
  bucket_s: number;
  per_s: number;
  ended: { succeeded: number; failed: number; cancelled: number; dead: number };
  failure_rate: number | null;
  wait_s: Middle;
  run_s: Middle;
  dead_letters_open: number;
  lanes: LaneRow[];
  workers: { alive: number; slots: number; busy: number };
  paths: PathNow[];
  series: Bucket[];
}

export type AnyJob = JobView & { tenant: string; path: string; worker: string | null };

export interface JobFilter {
  id?: string | null;
  tenant?: string | null;
  state?: State | null;
  kind?: string | null;
  model?: string | null;
  path?: string | null;
  label?: string | null;
  error?: string | null;
  worker?: string | null;
  created_after?: string | null;
  created_before?: string | null;
}

export interface ManyRequest {
  ids?: string[];
  filter?: JobFilter;
  dry_run?: boolean;
}

export interface ManyDone {
  matched: number;
  done: number;
  more: boolean;
  refused: { id: string; why: string }[];
}

export interface Gpu {
  name: string;
  utilisation: number | null;
  memory_used_bytes: number | null;
  memory_total_bytes: number | null;
}

export interface Worker {
  id: string;
  path: string;
  state: "alive" | "draining" | "silent";
  seen_at: string | null;
  slots: Record<string, number>;
  running: {
    job: string;
    kind: string;
    lane: string;
    attempt: number;
    started_at: string | null;
    progress: number | null;
  }[];
  memory_bytes: number | null;
  gpus: Gpu[];
  receives: boolean | null;
  why: string | null;
}

export interface Group {
  fingerprint: string;
  source: "job" | "message";
  title: string;
  count: number;
  first_at: string;
  last_at: string;
}

export interface Letter {
  number: number;
  source: "job" | "message";
  fingerprint: string;
  reason: string;
  queue: string;
  tenant: string | null;
  job: string | null;
  size: number;
  parked_at: string;
  replay_at: string | null;
  settled: string | null;
  settled_at: string | null;
  settled_by: string | null;
  retried_as: string | null;
}

export interface LetterDetail extends Letter {
  message: string;
  headers: Record<string, string>;
  encoding: "utf-8" | "base64";
  body: string;
  whole: boolean;
  died: {
    kind: string;
    model: string;
    input: Record<string, unknown>;
    trace_id: string | null;
    attempts: AttemptView[];
  } | null;
}

export interface LetterFilter {
  fingerprint?: string | null;
  source?: "job" | "message" | null;
  queue?: string | null;
  tenant?: string | null;
}

export interface Settled {
  count: number;
  more: boolean;
  until: string | null;
}

export interface Terms {
  weight: number;
  max_running: number | null;
  max_running_per_lane: number | null;
  max_queued: number | null;
}

export interface TenantRow extends Terms {
  tenant: string;
  waiting: number;
  running: number;
  keys: number;
}

export interface KeyRow {
  id: string;
  tenant: string | null;
  name: string | null;
  scopes: string[];
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
  hint: string;
}

export interface PathRolled {
  path: string;
  attended: boolean;
  submitted: number;
  running: number;
  ended: number;
  failed: number;
  error_rate: number | null;
  wait_p50_s: number | null;
  wait_p95_s: number | null;
  run_p50_s: number | null;
  run_p95_s: number | null;
}

export interface Guard {
  on: boolean;
  window_s: number;
  at_least: number;
  errors_over: number;
  slower_by: number;
}

export interface Rollout {
  version: number;
  source: "default" | "stored" | "environment";
  fixed_by: string[];
  stage: string;
  internal: string[];
  percent: number;
  kinds: Record<string, "local" | "distributed">;
  shadow_percent: number;
  guard: Guard;
  changed_at: string | null;
  changed_by: string | null;
  tripped: { at: string; why: string; percent: number } | null;
  paths: PathRolled[];
  replicas: { replica: string; version: number; seen_at: string }[];
  shadows: {
    compared: number;
    same: number;
    different: number;
    latest: {
      job: string;
      shadow: string;
      kind: string;
      same: boolean;
      diff: unknown;
      at: string;
    }[];
  };
}

export interface RolloutChange {
  internal?: string[];
  percent?: number;
  kinds?: Record<string, "local" | "distributed">;
  shadow_percent?: number;
  guard?: Guard;
  expect_version?: number;
}

export interface Deed {
  number: number;
  at: string;
  who: string;
  action: string;
  subject: string;
  detail: Record<string, unknown>;
}

interface Read<Answer, Query = undefined, Path = undefined> {
  path: Path;
  query: Query;
  body: undefined;
  answer: Answer;
}

interface Change<Answer, Body = undefined, Path = undefined> {
  path: Path;
  query: undefined;
  body: Body;
  answer: Answer;
}

export interface OpsCalls {
  "GET /admin/whoami": Read<Whoami>;
  "GET /admin/overview": Read<Overview, { window_s?: number }>;
  "GET /admin/lanes": Read<{ lanes: LaneRow[] }>;
  "POST /admin/lanes/{lane}/pause": Change<unknown, undefined, { lane: string }>;
  "POST /admin/lanes/{lane}/resume": Change<unknown, undefined, { lane: string }>;
  "GET /admin/jobs": Read<
    { jobs: AnyJob[]; next: string | null },
    JobFilter & { limit?: number; cursor?: string | null }
  >;
  "GET /admin/jobs/{job}": Read<AnyJob, undefined, { job: string }>;
  "GET /admin/jobs/{job}/timeline": Read<TimelineView, undefined, { job: string }>;
  "GET /admin/jobs/{job}/explain": Read<ExplainView, undefined, { job: string }>;
  "POST /admin/jobs/cancel": Change<ManyDone, ManyRequest>;
  "POST /admin/jobs/retry": Change<ManyDone, ManyRequest>;
  "POST /admin/jobs/{job}/move": Change<
    unknown,
    { to: "front" | "back" } | { priority: number },
    { job: string }
  >;
  "GET /admin/workers": Read<{ workers: Worker[] }>;
  "POST /admin/workers/{worker}/drain": Change<unknown, undefined, { worker: string }>;
  "POST /admin/workers/{worker}/resume": Change<unknown, undefined, { worker: string }>;
  "GET /admin/dead-letters/groups": Read<{ groups: Group[] }>;
  "GET /admin/dead-letters": Read<
    { letters: Letter[]; next: number | null },
    LetterFilter & { settled?: boolean; limit?: number; before?: number | null }
  >;
  "GET /admin/dead-letters/{number}": Read<LetterDetail, undefined, { number: number }>;
  "POST /admin/dead-letters/{number}/replay": Change<
    Letter,
    { input?: Record<string, unknown>; dry_run?: boolean } | undefined,
    { number: number }
  >;
  "POST /admin/dead-letters/{number}/discard": Change<Letter, undefined, { number: number }>;
  "POST /admin/dead-letters/replay": Change<
    Settled,
    LetterFilter & { all?: boolean; per_s?: number; dry_run?: boolean }
  >;
  "POST /admin/dead-letters/discard": Change<Settled, LetterFilter & { all?: boolean }>;
  "GET /admin/audit": Read<
    { audit: Deed[]; next: number | null },
    { limit?: number; before?: number | null }
  >;
  "GET /admin/tenants": Read<{ tenants: TenantRow[] }>;
  "GET /admin/tenants/{tenant}": Read<Terms & { tenant: string }, undefined, { tenant: string }>;
  "PUT /admin/tenants/{tenant}": Change<unknown, Terms, { tenant: string }>;
  "GET /admin/keys": Read<{ keys: KeyRow[] }, { tenant?: string | null }>;
  "POST /admin/keys": Change<
    KeyRow & { key: string },
    { tenant: string; name?: string; scopes?: string[]; expires_at?: string | null }
  >;
  "POST /admin/keys/{id}/revoke": Change<unknown, undefined, { id: string }>;
  "GET /admin/rollout": Read<Rollout>;
  "PUT /admin/rollout": Change<Rollout, RolloutChange>;
  "POST /admin/rollout/rollback": Change<Rollout>;
  "GET /models": Read<ModelView[]>;
}
