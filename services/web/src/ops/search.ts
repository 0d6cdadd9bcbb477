// What a search for jobs asks for: between the address, the form and the call.

import type { State } from "../frames";
import type { JobFilter } from "./shapes";

export const FILTERS = [
  "id",
  "tenant",
  "state",
  "label",
  "error",
  "kind",
  "model",
  "path",
  "worker",
] as const;

export type FilterName = (typeof FILTERS)[number];
export type Search = Partial<Record<FilterName, string>>;

/** What the address says, and nothing else that it may hold. */
export function searchOf(query: Readonly<Record<string, string>>): Search {
  return Object.fromEntries(
    FILTERS.flatMap((name) => {
      const value = query[name]?.trim() ?? "";
      return value === "" ? [] : [[name, value]];
    }),
  );
}

export function filterOf({ state, ...others }: Search): JobFilter {
  return { ...others, ...(state === undefined ? {} : { state: state as State }) };
}

/** In words, for a question before something is done to all of it. */
export function told(search: Search): string {
  const parts = Object.entries(search).map(([name, value]) => `${name} ${value}`);
  return parts.length === 0 ? "all jobs" : `jobs with ${parts.join(", ")}`;
}
