// Calls of the api as its description types them; what goes wrong is a `Problem`.

import { correct } from "./clock";

const ANSWER_WITHIN_MS = 15_000;

/** RFC 9457, or a server that did not answer (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly pointer: string | null = null,
    /** The last word of the problem's type: what kind it is, for programs. */
    readonly slug: string = "",
  ) {
    super(detail || title);
  }
}

/** What an operation takes and answers, as `generated.ts` has it. */
interface Operation {
  path: unknown;
  query: unknown;
  body: unknown;
  answer: unknown;
}
/** What an operation takes; where it takes nothing, nothing may be given. */
type Asked<O extends Operation> = {
  [Part in "path" | "query" | "body" as O[Part] extends undefined ? never : Part]: O[Part];
} & { headers?: Record<string, string>; within?: number };

interface Loose {
  path?: Record<string, string | number>;
  query?: Record<string, unknown>;
  body?: object;
  headers?: Record<string, string>;
  within?: number;
}

/** Whoever asks shows `credentials`, taken anew each time. */
export function client<Described extends { [Call in keyof Described]: Operation }>(
  credentials: () => Record<string, string>,
) {
  type Call = keyof Described & string;

  async function ask<C extends Call>(name: C, asked: Asked<Described[C]>): Promise<Response> {
    const { path = {}, query = {}, body, headers, within } = asked as Loose;
    const [method, template = ""] = name.split(" ");
    const response = await fetch(filled(template, path) + asQuery(query), {
      method,
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
      headers: headersFor(body, { ...credentials(), ...headers }),
      signal: AbortSignal.timeout(within ?? ANSWER_WITHIN_MS),
    }).catch(() => {
      throw new Problem(0, "The server does not answer", "Is it running, and is the network up?");
    });
    correct(response.headers.get("date"), Date.now());
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async function call<C extends Call>(
    name: C,
    asked: Asked<Described[C]>,
  ): Promise<Described[C]["answer"]> {
    return (await ask(name, asked)).json() as Promise<Described[C]["answer"]>;
  }

  return { ask, call };
}

function headersFor(body: object | undefined, given: Record<string, string>): Headers {
  const headers = new Headers(given);
  headers.set("accept", "application/json, application/problem+json, */*;q=0.5");
  if (body instanceof Blob) headers.set("content-type", body.type);
  else if (body !== undefined) headers.set("content-type", "application/json");
  return headers;
}

function filled(template: string, path: Record<string, string | number>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(path[name] ?? "")),
  );
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
    type?: string;
    errors?: { pointer?: string; detail: string }[];
  };
  const first = told.errors?.[0];
  return new Problem(
    response.status,
    told.title ?? `The server answered ${response.status}`,
    first?.detail ?? told.detail ?? "",
    told.pointer ?? first?.pointer ?? null,
    told.type?.split(":").at(-1),
  );
}
