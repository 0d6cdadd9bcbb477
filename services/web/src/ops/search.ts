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
  "lane",
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

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const LABEL = /^[A-Za-z0-9._/-]{1,63}:/;

/** What is still to be typed before the api would take it, by field. */
export function lacking({ id, label }: Search): Partial<Record<FilterName, string>> {
  return {
    ...(id === undefined || ID.test(id) ? {} : { id: "A whole id, of 36 characters." }),
    ...(label === undefined || LABEL.test(label) ? {} : { label: "As name:value." }),
  };
}
