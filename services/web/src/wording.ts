// How times, states and jobs are put into words.

import type { Job } from "./api";
import type { State } from "./frames";
import type { Problem } from "./http";
import type { JobView } from "./state";

/** The server counts no further. */
const MANY_AHEAD = 1000;
/** In the place of a number that nobody has. */
export const NONE = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const STATE_WORDS: Record<State, string> = {
  scheduled: "Planned",
  queued: "Queued",
  running: "Running",
  cancelling: "Cancelling",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  dead: "Gave up",
};

/** As a person would say it: a job that was tried is not planned, it is tried again. */
export function stateWord({ state, attempt, past }: JobView): string {
  const tried = attempt > 0 || past.length > 0;
  return state === "scheduled" && tried ? "Trying again" : STATE_WORDS[state];
}

/** To whole seconds from one on: for what is only expected. */
export function roughly(seconds: number): string {
  return seconds < 60 ? `${Math.max(1, Math.round(seconds))} s` : duration(seconds);
}

export function duration(seconds: number): string {
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  if (minutes < 60) return `${minutes} min ${rest} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(then: string, now: number): string {
  const seconds = (now - Date.parse(then)) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(then).toLocaleDateString();
}

/** Seconds between two times of the server's; the second is `now` while it has not come. */
export function between(
  start: string | null,
  end: string | null,
  now: number | null,
): number | null {
  const until = end === null ? now : Date.parse(end);
  return start === null || until === null ? null : Math.max(0, (until - Date.parse(start)) / 1000);
}

/** Whole numbers in full (a seed is copied), others to four digits that matter. */
export function number(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

/** A name from a program, as a person would write it. */
export function spoken(name: string): string {
  return capital(name.replace(/_per_s$/, " per second").replaceAll("_", " "));
}

/** The words that a person would know the job by. */
export function subject(job: Job): string {
  const { prompt, text, texts, messages } = job.input;
  if (typeof prompt === "string") return prompt;
  if (typeof text === "string") return text;
  if (Array.isArray(texts)) return texts.join(" · ");
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : null;
  const content = (last as { content?: unknown } | null)?.content;
  return typeof content === "string" ? content : `${capital(job.kind)} by ${job.model}`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function left(seconds: number): string {
  return `about ${roughly(seconds)} left`;
}

export function rate(perSecond: number, unit: string): string {
  return `${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)} ${unit}/s`;
}

export function place(ahead: number): string {
  if (ahead === 0) return "Up next";
  return ahead >= MANY_AHEAD ? `More than ${MANY_AHEAD} ahead` : `${ahead} ahead`;
}

export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

/** "Drawing, step 12 of 24": what is being done. */
export function doing(view: JobView): string {
  const parts: string[] = [];
  if (view.stage !== null) parts.push(capital(view.stage));
  if (view.step !== null) {
    parts.push(view.steps === null ? `step ${view.step}` : `step ${view.step} of ${view.steps}`);
  }
  if (view.note !== null) parts.push(view.note);
  return parts.join(", ");
}

/** What it waits for, in a few words; the api's explanation has the long ones. */
export function waiting(view: JobView): string {
  if (view.state === "queued") {
    return view.ahead === null ? "Waits for a free worker" : place(view.ahead);
  }
  return view.attempt > 0 || view.past.length > 0
    ? "Waits for its next attempt"
    : "Waits for its time";
}

/** Times in a text of the api's, which are UTC, on the reader's own clock. */
export function localTimes(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (time) => {
    const then = new Date(time);
    const today = then.toDateString() === new Date().toDateString();
    return today ? then.toLocaleTimeString() : then.toLocaleString();
  });
}

/** For those who listen: it changes at most every quarter, so that it does not talk over itself. */
export function announcement(view: JobView): string {
  if (view.state !== "running") return stateWord(view);
  const again = view.attempt > 1 ? `, attempt ${view.attempt}` : "";
  const quarters = Math.floor((view.fraction ?? 0) * 4);
  return `Running${again}${quarters > 0 ? `, ${quarters * 25} percent` : ""}`;
}

export function seconds(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : duration(value);
}

/** A share of few: 0 is 0, but what is not nothing is never called so. */
export function share(fraction: number | null | undefined): string {
  if (fraction === null || fraction === undefined) return NONE;
  if (fraction > 0 && fraction < 0.001) return "< 0.1 %";
  return fraction < 0.1 ? `${Number((fraction * 100).toFixed(1))} %` : percent(fraction);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  let [left, unit] = [value, 0];
  while (left >= 1024 && unit < UNITS.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${left >= 10 || unit === 0 ? Math.round(left) : left.toFixed(1)} ${UNITS[unit]}`;
}

export function toldBy({ title, detail }: Problem): string {
  if (detail === "") return `${title}.`;
  return `${title}. ${detail}`;
}

export function at(time: string | null | undefined): string {
  return time === null || time === undefined ? NONE : new Date(time).toLocaleString();
}
