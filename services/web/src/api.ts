// The api's calls that the page makes, typed by its own description; what goes wrong is a `Problem`.

import type {
  BatchResult,
  BatchView,
  Calls,
  JobRequest,
  JobView,
  ModelRouteRequest,
  RunRequest,
  RunView,
} from "./generated";
import { client } from "./http";

const UPLOAD_WITHIN_MS = 120_000;
const MOST_VERSIONS = 200;
const KEY = "headrace.key";

export type {
  AttemptView as Attempt,
  DeletionView as Deletion,
  ExplainView as Explanation,
  ModelPerformanceView as Performance,
  ModelRouteView as Route,
  ModelView as Model,
  OneStatusView as Standing,
  PipelineView as Pipeline,
  RegisteredModelView as Registered,
  RunSummary as RunInList,
  TimelineView as Timeline,
  VersionView as Version,
  DeliveryDetail,
  DeliveryView as Delivery,
  EndpointView as Endpoint,
  SecretView as Secret,
} from "./generated";
export { Problem } from "./http";
export type Job = JobView;
export type Run = RunView;
export type Batch = BatchView;
export type Draft = Pick<JobRequest, "kind" | "input"> & { model?: string };

export const key = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (value: string): void => sessionStorage.setItem(KEY, value),
  forget: (): void => sessionStorage.removeItem(KEY),
};

const { ask, call } = client<Calls>((): Record<string, string> => {
  const shown = key.get();
  return shown === null ? {} : { apikey: shown };
});

export const api = {
  models: () => call("GET /models", {}),
  jobs: (query: Calls["GET /jobs"]["query"]) => call("GET /jobs", { query }),
  standings: (id: string[]) => call("GET /jobs/statuses", { query: { id } }),
  job: (job: string) => call("GET /jobs/{job}", { path: { job } }),
  timeline: (job: string) => call("GET /jobs/{job}/timeline", { path: { job } }),
  explain: (job: string) => call("GET /jobs/{job}/explain", { path: { job } }),
  cancel: (job: string) => call("POST /jobs/{job}/cancel", { path: { job } }),
  retry: (job: string, once: string) =>
    call("POST /jobs/{job}/retry", { path: { job }, headers: { "idempotency-key": once } }),

  /** The same `once` makes no second job: an answer that was lost can be asked for again. */
  submit: (body: Draft, once: string) =>
    call("POST /jobs", { body, headers: { "idempotency-key": once } }),

  pipelines: () => call("GET /pipelines", {}),
  runs: () => call("GET /runs", { query: {} }),
  run: (run: string) => call("GET /runs/{run}", { path: { run } }),
  begin: (body: Pick<RunRequest, "pipeline" | "input">, once: string) =>
    call("POST /runs", { body, headers: { "idempotency-key": once } }),
  cancelRun: (run: string) => call("POST /runs/{run}/cancel", { path: { run } }),
  retryStage: (run: string, stage: string, once: string) =>
    call("POST /runs/{run}/stages/{stage}/retry", {
      path: { run, stage },
      headers: { "idempotency-key": once },
    }),
  refine: (run: string, once: string) =>
    call("POST /runs/{run}/refinements", {
      path: { run },
      body: {},
      headers: { "idempotency-key": once },
    }),
  caption: (run: string, once: string) =>
    call("POST /runs/{run}/captions", {
      path: { run },
      body: {},
      headers: { "idempotency-key": once },
    }),

  batches: () => call("GET /batches", { query: {} }),
  batch: (batch: string) => call("GET /batches/{batch}", { path: { batch } }),
  cancelBatch: (batch: string) => call("POST /batches/{batch}/cancel", { path: { batch } }),
  handIn: (kind: string, blob: string, once: string) =>
    call("POST /batches", {
      query: {},
      body: { kind, blob },
      headers: { "idempotency-key": once },
    }),
  results: (batch: string, query: Calls["GET /batches/{batch}/results"]["query"]) =>
    ask("GET /batches/{batch}/results", {
      path: { batch },
      query,
      within: UPLOAD_WITHIN_MS,
    }).then((response) => response.blob()),
  /** The first things that went wrong. */
  wrongs: (batch: string, limit: number) =>
    api
      .results(batch, { errors: true, limit })
      .then((lines) => lines.text())
      .then((text) =>
        text
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as BatchResult),
      ),

  registered: (after: string) => call("GET /models/registered", { query: { after } }),
  registeredModel: (name: string) => call("GET /models/{name}", { path: { name } }),
  versions: (name: string) =>
    call("GET /models/{name}/versions", { path: { name }, query: { limit: MOST_VERSIONS } }),
  routes: (name: string) => call("GET /models/{name}/routes", { path: { name }, query: {} }),
  performance: (name: string, query: Calls["GET /models/{name}/performance"]["query"]) =>
    call("GET /models/{name}/performance", { path: { name }, query }),
  route: (name: string, body: ModelRouteRequest, once: string) =>
    call("POST /models/{name}/route", {
      path: { name },
      body,
      headers: { "idempotency-key": once },
    }),
  promote: (name: string, version: number, once: string) =>
    call("POST /models/{name}/promote", {
      path: { name },
      body: { version },
      headers: { "idempotency-key": once },
    }),
  rollBack: (name: string, once: string) =>
    call("POST /models/{name}/rollback", { path: { name }, headers: { "idempotency-key": once } }),
  whoami: () => call("GET /admin/whoami", {}),

  retire: (name: string, version: number) =>
    ask("DELETE /models/{name}/versions/{version}", { path: { name, version } }),

  /** What has not ended is cancelled first. */
  deleteJob: (job: string) =>
    call("DELETE /jobs/{job}", { path: { job }, query: { cancel: true } }),
  deleteRun: (run: string) =>
    call("DELETE /runs/{run}", { path: { run }, query: { cancel: true } }),
  deleteBatch: (batch: string) =>
    call("DELETE /batches/{batch}", { path: { batch }, query: { cancel: true } }),
  deletion: (deletion: string) => call("GET /deletions/{deletion}", { path: { deletion } }),

  webhooks: () => call("GET /webhooks", {}),
  webhook: (webhook: string) => call("GET /webhooks/{webhook}", { path: { webhook } }),
  /** No retry by itself: the answer has the secret, so the api keeps no second one of it. */
  createWebhook: (body: Calls["POST /webhooks"]["body"]) => call("POST /webhooks", { body }),
  changeWebhook: (webhook: string, body: Calls["PATCH /webhooks/{webhook}"]["body"]) =>
    call("PATCH /webhooks/{webhook}", { path: { webhook }, body }),
  deleteWebhook: (webhook: string) => ask("DELETE /webhooks/{webhook}", { path: { webhook } }),
  secret: (webhook: string) => call("GET /webhooks/{webhook}/secret", { path: { webhook } }),
  rotate: (webhook: string) =>
    call("POST /webhooks/{webhook}/secret/rotate", { path: { webhook } }),
  deliveries: (query: Calls["GET /webhooks/deliveries"]["query"]) =>
    call("GET /webhooks/deliveries", { query }),
  delivery: (delivery: string) =>
    call("GET /webhooks/deliveries/{delivery}", { path: { delivery } }),
  redeliver: (delivery: string) =>
    call("POST /webhooks/deliveries/{delivery}/redeliver", { path: { delivery } }),

  upload: (body: Blob) =>
    call("POST /blobs", { body, within: UPLOAD_WITHIN_MS }).then(({ blob }) => blob),

  /** An output that was too large for a record. */
  output: (blob: string) => read(blob).then((response) => response.json() as Promise<unknown>),

  /** Fetched, not linked to: an <img> could not show a key. */
  blob: (blob: string) => read(blob).then((response) => response.blob()),
};

function read(blob: string): Promise<Response> {
  return ask("GET /blobs/{blob}", { path: { blob }, within: UPLOAD_WITHIN_MS });
}
