// How the console puts schedules into words.

import { ago } from "../wording";
import type { Recurring } from "./shapes";
import { age, at } from "./words";

const DAY_S = 86_400;

/** "echo" or "run of illustrate". */
export function whatRecurs({ job, run }: Recurring): string {
  return run === null ? String(job?.["kind"]) : `run of ${String(run["pipeline"])}`;
}

export function inputOf({ job, run }: Recurring): unknown {
  return (run ?? job)?.["input"];
}

/** In the schedule's own zone, where this browser knows it. */
export function inZone(time: string, zone: string): string {
  try {
    const format = { dateStyle: "medium", timeStyle: "short", timeZone: zone } as const;
    return new Date(time).toLocaleString(undefined, format);
  } catch {
    return `${at(time)} your time`;
  }
}

export function nextIn({ next_at }: Recurring, now: number): string {
  if (next_at === null) return "never again";
  const left = (Date.parse(next_at) - now) / 1000;
  if (left <= 0) return "now";
  if (left >= 2 * DAY_S) return `in ${Math.floor(left / DAY_S)} days`;
  return `in ${age(left)}`;
}

/** Of its last time: what came of it, and when that was. */
export function lastOutcome(
  { last_at, last_error }: Recurring,
  now: number,
): { tone: "good" | "bad" | "plain"; word: string; when: string; why: string } {
  if (last_at === null) return { tone: "plain", word: "not yet", when: "", why: last_error ?? "" };
  const when = ago(last_at, now);
  if (last_error === null) return { tone: "good", word: "made", when, why: "" };
  return { tone: "bad", word: "made nothing", when, why: last_error };
}
