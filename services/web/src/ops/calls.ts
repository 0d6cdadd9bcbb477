// The operators' calls, each shown the operator's key.

import type { Calls, LetterView, RehearsalView, RehearsedView, SettledView } from "../generated";
import { client } from "../http";
import { operator } from "./operator";
import type {
  DeliveriesQuery,
  JobsQuery,
  LetterFilter,
  LettersQuery,
  ManyRequest,
  NewSchedule,
  RolloutChange,
  Terms,
  Window,
} from "./shapes";

const { ask, call } = client<Calls>(operator.credentials);

const PAGE = 200;
type Input = Record<string, unknown>;

export const calls = {
  whoami: () => call("GET /admin/whoami", {}),
  overview: (window_s: Window) => call("GET /admin/overview", { query: { window_s } }),

  jobs: (query: JobsQuery) => call("GET /admin/jobs", { query }),
  job: (job: string) => call("GET /admin/jobs/{job}", { path: { job } }),
  timeline: (job: string) => call("GET /admin/jobs/{job}/timeline", { path: { job } }),
  explain: (job: string) => call("GET /admin/jobs/{job}/explain", { path: { job } }),
  cancel: (body: ManyRequest) => call("POST /admin/jobs/cancel", { body }),
  retry: (body: ManyRequest) => call("POST /admin/jobs/retry", { body }),
  move: (job: string, to: "front" | "back") =>
    call("POST /admin/jobs/{job}/move", { path: { job }, body: { to } }),

  groups: () => call("GET /admin/dead-letters/groups", { query: {} }),
  letters: (query: LettersQuery) => call("GET /admin/dead-letters", { query }),
  letter: (number: number) => call("GET /admin/dead-letters/{number}", { path: { number } }),
  /** Without an input: with the one it died of. */
  replay: (number: number, input?: Input) =>
    replayOne(number, input === undefined ? {} : { input }) as Promise<LetterView>,
  rehearse: (number: number, input: Input) =>
    replayOne(number, { input, dry_run: true }) as Promise<RehearsalView>,
  discard: (number: number) =>
    call("POST /admin/dead-letters/{number}/discard", { path: { number } }),
  replayMany: (filter: LetterFilter & { all?: boolean }, per_s: number) =>
    replayMany({ ...filter, per_s }) as Promise<SettledView>,
  rehearseMany: (filter: LetterFilter & { all?: boolean }) =>
    replayMany({ ...filter, dry_run: true }) as Promise<RehearsedView>,
  discardMany: (body: LetterFilter & { all?: boolean }) =>
    call("POST /admin/dead-letters/discard", { body }),

  lanes: () => call("GET /admin/lanes", {}),
  pause: (lane: string) => call("POST /admin/lanes/{lane}/pause", { path: { lane } }),
  resume: (lane: string) => call("POST /admin/lanes/{lane}/resume", { path: { lane } }),

  workers: () => call("GET /admin/workers", {}),
  drain: (worker: string) => call("POST /admin/workers/{worker}/drain", { path: { worker } }),
  undrain: (worker: string) => call("POST /admin/workers/{worker}/resume", { path: { worker } }),

  schedules: (cursor: string) =>
    call("GET /admin/schedules", { query: cursor === "" ? {} : { cursor } }),
  schedule: (schedule: string) => call("GET /admin/schedules/{schedule}", { path: { schedule } }),
  createSchedule: (body: NewSchedule) => call("POST /admin/schedules", { body }),
  pauseSchedule: (schedule: string) =>
    call("POST /admin/schedules/{schedule}/pause", { path: { schedule } }),
  resumeSchedule: (schedule: string) =>
    call("POST /admin/schedules/{schedule}/resume", { path: { schedule } }),
  runSchedule: (schedule: string) =>
    call("POST /admin/schedules/{schedule}/run-now", { path: { schedule } }),
  deleteSchedule: (schedule: string) =>
    ask("DELETE /admin/schedules/{schedule}", { path: { schedule } }),

  tenants: (after: string) => call("GET /admin/tenants", { query: { after, limit: PAGE } }),
  terms: (tenant: string) => call("GET /admin/tenants/{tenant}", { path: { tenant } }),
  setTerms: (tenant: string, body: Terms) =>
    call("PUT /admin/tenants/{tenant}", { path: { tenant }, body }),
  keys: (tenant?: string) => call("GET /admin/keys", { query: { tenant, limit: PAGE } }),
  createKey: (body: Calls["POST /admin/keys"]["body"]) => call("POST /admin/keys", { body }),
  revoke: (key: string) => call("POST /admin/keys/{key}/revoke", { path: { key } }),

  models: (after: string) => call("GET /admin/models", { query: { after, limit: PAGE } }),
  model: (tenant: string, name: string) =>
    call("GET /admin/models/{tenant}/{name}", { path: { tenant, name } }),
  versions: (tenant: string, name: string) =>
    call("GET /admin/models/{tenant}/{name}/versions", {
      path: { tenant, name },
      query: { limit: PAGE },
    }),
  share: (tenant: string, name: string, shared: boolean) =>
    call("PUT /admin/models/{tenant}/{name}", { path: { tenant, name }, body: { shared } }),

  endpoints: (tenant: string | undefined, cursor: string | undefined) =>
    call("GET /admin/webhooks", { query: { tenant, cursor } }),
  deliveries: (query: DeliveriesQuery) => call("GET /admin/webhooks/deliveries", { query }),
  delivery: (delivery: string) =>
    call("GET /admin/webhooks/deliveries/{delivery}", { path: { delivery } }),
  redeliver: (delivery: string) =>
    call("POST /admin/webhooks/deliveries/{delivery}/redeliver", { path: { delivery } }),

  rollout: () => call("GET /admin/rollout", {}),
  setRollout: (body: RolloutChange) => call("PUT /admin/rollout", { body }),
  rollback: () => call("POST /admin/rollout/rollback", {}),

  audit: (before: number | null) => call("GET /admin/audit", { query: { before, limit: 100 } }),
};

function replayOne(number: number, body: { input?: Input; dry_run?: boolean }) {
  return call("POST /admin/dead-letters/{number}/replay", { path: { number }, body });
}

function replayMany(body: Calls["POST /admin/dead-letters/replay"]["body"]) {
  return call("POST /admin/dead-letters/replay", { body });
}
