// How endpoints and calls of webhooks are put into words.

import type { CallState, EventType } from "./generated";
import { ago, at, roughly } from "./wording";

export type Tone = "good" | "bad" | "wait" | "plain";

/** In the order of a form; without any choice it is the four ends of a job. */
export const EVENTS: Record<EventType, string> = {
  "job.succeeded": "A job succeeded",
  "job.failed": "A job failed",
  "job.cancelled": "A job was cancelled",
  "job.dead": "A job used up its attempts",
  "job.started": "An attempt at a job began",
  "batch.ended": "A batch is over",
};
export const ENDS: readonly EventType[] = [
  "job.succeeded",
  "job.failed",
  "job.cancelled",
  "job.dead",
];
export const CALL_WORDS: Record<CallState, string> = {
  waiting: "Waiting",
  delivered: "Delivered",
  given_up: "Given up",
};
const CALL_TONES: Record<CallState, Tone> = { waiting: "wait", delivered: "good", given_up: "bad" };

interface Standing {
  disabled_at: string | null;
  disabled_why: string | null;
  failing_since: string | null;
}

interface Call {
  state: CallState;
  tries: number;
  type: string;
  next_at: string | null;
  settled_at: string | null;
  log: readonly { error: string | null }[];
}

export function toldEvents(events: readonly string[]): string {
  return events.length === 0 ? "the four ends of a job" : events.join(", ");
}

/** Whether an endpoint is called, and why not if it is not. */
export function standingOf(
  { disabled_at, disabled_why, failing_since }: Standing,
  now: number,
): { tone: Tone; word: string; why: string } {
  if (disabled_at !== null) {
    const why = disabled_why === "asked" ? "as somebody asked" : (disabled_why ?? "");
    const when = ago(disabled_at, now);
    return { tone: "bad", word: "disabled", why: why === "" ? when : `${when}: ${why}` };
  }
  if (failing_since === null) return { tone: "good", word: "on", why: "" };
  return {
    tone: "wait",
    word: "failing",
    why: `no call has arrived since ${at(failing_since)}; after five days it is disabled`,
  };
}

export function callStanding({ state, tries }: Call): { tone: Tone; word: string } {
  const again = state === "waiting" && tries > 0;
  return { tone: CALL_TONES[state], word: again ? "Trying again" : CALL_WORDS[state] };
}

export function toldTries(tries: number): string {
  return tries === 0 ? "not tried yet" : `${tries} ${tries === 1 ? "try" : "tries"}`;
}

/** "next try in 5 min", "arrived 3 min ago". */
export function toldWhen({ state, next_at, settled_at }: Call, now: number): string {
  if (state !== "waiting") {
    const when = settled_at === null ? "" : ` ${ago(settled_at, now)}`;
    return state === "delivered" ? `arrived${when}` : `given up${when}`;
  }
  const left = next_at === null ? 0 : (Date.parse(next_at) - now) / 1000;
  return left <= 0 ? "tried now" : `next try in ${wait(left)}`;
}

/** Of minutes nobody needs the seconds. */
function wait(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  return seconds < 60 || minutes >= 60 ? roughly(seconds) : `${minutes} min`;
}

/** What came of a try, in bold; and why, where that says more. */
export function toldTry({ status, error }: { status: number | null; error: string | null }) {
  const what = status === null ? "no answer" : `answered ${status}`;
  return { what, why: error === what ? null : error };
}

/** What came of the latest try, where it was no receipt. */
export function lastError({ log }: Pick<Call, "log">): string | null {
  return log.at(-1)?.error ?? null;
}

/** Of what a call tells: a batch has a page of its own. */
export function aboutBatch({ type }: Pick<Call, "type">): boolean {
  return type.startsWith("batch.");
}

/** Long addresses are told by their host and their end. */
export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
