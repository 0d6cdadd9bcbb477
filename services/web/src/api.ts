// The api's calls that the page makes, typed by its own description; what goes wrong is a `Problem`.

import type { Calls, JobRequest, JobView } from "./generated";
import { correct } from "./clock";

const ANSWER_WITHIN_MS = 15_000;
const UPLOAD_WITHIN_MS = 120_000;
const KEY = "headrace.key";

export type {
  AttemptView as Attempt,
  ExplainView as Explanation,
  ModelView as Model,
  OneStatusView as Standing,
  TimelineView as Timeline,
} from "./generated";
export type Job = JobView;
export type Draft = Pick<JobRequest, "kind" | "input"> & { model?: string };

/** RFC 9457, or a server that did not answer (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly pointer: string | null = null,
  ) {
    super(detail || title);
  }
}

export const key = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (value: string): void => sessionStorage.setItem(KEY, value),
  forget: (): void => sessionStorage.removeItem(KEY),
};

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

  upload: (body: Blob) =>
    call("POST /blobs", { body, within: UPLOAD_WITHIN_MS }).then(({ blob }) => blob),

  /** An output that was too large for a record. */
  output: (blob: string) => read(blob).then((response) => response.json() as Promise<unknown>),

  /** Fetched, not linked to: an <img> could not show a key. */
  blob: (blob: string) => read(blob).then((response) => response.blob()),
};

type Call = keyof Calls;
/** What an operation takes; where it takes nothing, nothing may be given. */
type Asked<C extends Call> = {
  [
    Part in "path" | "query" | "body" as Calls[C][Part] extends undefined ? never : Part
  ]: Calls[C][Part];
} & { headers?: Record<string, string>; within?: number };

function read(blob: string): Promise<Response> {
  return ask("GET /blobs/{blob}", { path: { blob }, within: UPLOAD_WITHIN_MS });
}

async function call<C extends Call>(name: C, asked: Asked<C>): Promise<Calls[C]["answer"]> {
  return (await ask(name, asked)).json() as Promise<Calls[C]["answer"]>;
}

async function ask<C extends Call>(name: C, asked: Asked<C>): Promise<Response> {
  const { path = {}, query = {}, body, headers, within } = asked as Loose;
  const [method, template = ""] = name.split(" ");
  const response = await fetch(filled(template, path) + asQuery(query), {
    method,
    body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
    headers: headersFor(body, headers),
    signal: AbortSignal.timeout(within ?? ANSWER_WITHIN_MS),
  }).catch(() => {
    throw new Problem(0, "The server does not answer", "Is it running, and is the network up?");
  });
  correct(response.headers.get("date"), Date.now());
  if (!response.ok) throw await problemOf(response);
  return response;
}

interface Loose {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: object;
  headers?: Record<string, string>;
  within?: number;
}

function headersFor(body: object | undefined, given: Record<string, string> = {}): Headers {
  const headers = new Headers(given);
  headers.set("accept", "application/json, application/problem+json, */*;q=0.5");
  if (body instanceof Blob) headers.set("content-type", body.type);
  else if (body !== undefined) headers.set("content-type", "application/json");
  const shown = key.get();
  if (shown !== null) headers.set("apikey", shown);
  return headers;
}

function filled(template: string, path: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
}

function asQuery(query: Record<string, unknown>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null) search.append(name, String(each));
    }
  }
  return search.size === 0 ? "" : `?${search}`;
}

async function problemOf(response: Response): Promise<Problem> {
  const told = (await response.json().catch(() => ({}))) as Partial<Problem> & {
    errors?: { pointer?: string; detail: string }[];
  };
  const first = told.errors?.[0];
  return new Problem(
    response.status,
    told.title ?? `The server answered ${response.status}`,
    first?.detail ?? told.detail ?? "",
    told.pointer ?? first?.pointer ?? null,
  );
}
