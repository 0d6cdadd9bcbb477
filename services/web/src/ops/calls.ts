// The operators' calls, each shown the operator's key.

import { client } from "../http";
import { operator } from "./operator";
import type {
  JobFilter,
  LetterFilter,
  ManyRequest,
  OpsCalls,
  RolloutChange,
  Terms,
} from "./shapes";

const { call } = client<OpsCalls>(operator.credentials);
/** The catalog is a tenant's to see: where an operator's key is nobody's, perhaps without any. */
const nobody = client<OpsCalls>(() => ({}));

export const calls = {
  whoami: () => call("GET /admin/whoami", {}),
  overview: (window_s: number) => call("GET /admin/overview", { query: { window_s } }),
  models: () => call("GET /models", {}).catch(() => nobody.call("GET /models", {})),

  jobs: (query: JobFilter & { limit?: number; cursor?: string | null }) =>
    call("GET /admin/jobs", { query }),
  job: (job: string) => call("GET /admin/jobs/{job}", { path: { job } }),
  timeline: (job: string) => call("GET /admin/jobs/{job}/timeline", { path: { job } }),
  explain: (job: string) => call("GET /admin/jobs/{job}/explain", { path: { job } }),
  cancel: (body: ManyRequest) => call("POST /admin/jobs/cancel", { body }),
  retry: (body: ManyRequest) => call("POST /admin/jobs/retry", { body }),
  move: (job: string, body: { to: "front" | "back" } | { priority: number }) =>
    call("POST /admin/jobs/{job}/move", { path: { job }, body }),

  groups: () => call("GET /admin/dead-letters/groups", {}),
  letters: (query: LetterFilter & { settled?: boolean; limit?: number; before?: number | null }) =>
    call("GET /admin/dead-letters", { query }),
  letter: (number: number) => call("GET /admin/dead-letters/{number}", { path: { number } }),
  replay: (number: number, body?: { input?: Record<string, unknown>; dry_run?: boolean }) =>
    call("POST /admin/dead-letters/{number}/replay", { path: { number }, body }),
  discard: (number: number) =>
    call("POST /admin/dead-letters/{number}/discard", { path: { number } }),
  replayMany: (body: LetterFilter & { all?: boolean; per_s?: number; dry_run?: boolean }) =>
    call("POST /admin/dead-letters/replay", { body }),
  discardMany: (body: LetterFilter & { all?: boolean }) =>
    call("POST /admin/dead-letters/discard", { body }),

  lanes: () => call("GET /admin/lanes", {}),
  pause: (lane: string) => call("POST /admin/lanes/{lane}/pause", { path: { lane } }),
  resume: (lane: string) => call("POST /admin/lanes/{lane}/resume", { path: { lane } }),

  workers: () => call("GET /admin/workers", {}),
  drain: (worker: string) => call("POST /admin/workers/{worker}/drain", { path: { worker } }),
  undrain: (worker: string) => call("POST /admin/workers/{worker}/resume", { path: { worker } }),

  tenants: () => call("GET /admin/tenants", {}),
  terms: (tenant: string) => call("GET /admin/tenants/{tenant}", { path: { tenant } }),
  setTerms: (tenant: string, body: Terms) =>
    call("PUT /admin/tenants/{tenant}", { path: { tenant }, body }),
  keys: (tenant?: string) => call("GET /admin/keys", { query: { tenant } }),
  createKey: (body: OpsCalls["POST /admin/keys"]["body"]) => call("POST /admin/keys", { body }),
  revoke: (id: string) => call("POST /admin/keys/{id}/revoke", { path: { id } }),

  rollout: () => call("GET /admin/rollout", {}),
  setRollout: (body: RolloutChange) => call("PUT /admin/rollout", { body }),
  rollback: () => call("POST /admin/rollout/rollback", {}),

  audit: (before: number | null) => call("GET /admin/audit", { query: { before, limit: 100 } }),
};
