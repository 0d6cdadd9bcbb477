// What an address of the console shows. What is filtered by stands in the query, so that a link keeps it.

export const PAGES = {
  overview: "Overview",
  jobs: "Jobs",
  "dead-letters": "Dead letters",
  queues: "Queues",
  workers: "Workers",
  schedules: "Schedules",
  tenants: "Tenants",
  models: "Models",
  webhooks: "Webhooks",
  rollout: "Rollout",
  audit: "Audit",
} as const;

export type PageName = keyof typeof PAGES;
/** Pages that show one of their things at an address of its own. */
const HAS_ONE: ReadonlySet<string> = new Set<PageName>([
  "jobs",
  "dead-letters",
  "queues",
  "schedules",
  "tenants",
  "models",
  "webhooks",
]);

export interface Place {
  page: PageName | null;
  /** One job, dead letter, lane, schedule, tenant, model (`TENANT/NAME`) or call of the page; null: all of them. */
  id: string | null;
  query: Readonly<Record<string, string>>;
}

export function placeOf(path: string, search = ""): Place {
  const [page = "overview", id = null, ...more] = path
    .replace(/^\/ops\/?/, "")
    .split("/")
    .filter((part) => part !== "");
  const known = page in PAGES && more.length === 0 && (id === null || HAS_ONE.has(page));
  const query = Object.fromEntries(new URLSearchParams(search));
  if (!known) return { page: null, id: null, query: {} };
  return { page: page as PageName, id: id === null ? null : decoded(id), query };
}

export function pathOf(page: PageName, id?: string | number | null, query: Query = {}): string {
  const base = page === "overview" ? "/ops" : `/ops/${page}`;
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, String(value));
  const one = id === undefined || id === null ? "" : `/${encodeURIComponent(id)}`;
  return `${base}${one}${search.size === 0 ? "" : `?${search}`}`;
}

type Query = Readonly<Record<string, string | number | null | undefined>>;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
