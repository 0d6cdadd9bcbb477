// A job's attempts as bars on one scale, in seconds from its submission.

import type { Attempt, Timeline } from "./api";

export type Stage = "wait" | "claim" | "load" | "run" | "store" | "record";

export interface Bar {
  stage: Stage;
  start: number;
  length: number;
}

export interface Row {
  attempt: number;
  /** Null while it runs. */
  outcome: string | null;
  worker: string | null;
  /** Of the checkpoint that it went on from; null where it began at the beginning. */
  resumed: number | null;
  /** Its model was not loaded where it came. */
  cold: boolean;
  bars: Bar[];
}

export interface Chart {
  rows: Row[];
  length: number;
}

export function chart(timeline: Timeline, now: number): Chart {
  if (timeline.created_at === null) return { rows: [], length: 0 };
  const submitted = Date.parse(timeline.created_at);
  const since = (time: string | null) =>
    Math.max(0, ((time === null ? now : Date.parse(time)) - submitted) / 1000);
  const rows = timeline.attempts.map((attempt) => rowOf(attempt, since));
  const waiting = waitingRow(timeline, since);
  if (waiting !== null) rows.push(waiting);
  const ends = rows.flatMap(({ bars }) => bars.map(({ start, length }) => start + length));
  return { rows, length: Math.max(since(timeline.finished_at), ...ends) };
}

type Since = (time: string | null) => number;

function rowOf(attempt: Attempt, since: Since): Row {
  const { stages, outcome, worker, resumed_step: resumed } = attempt;
  const granted = since(attempt.started_at);
  const ended = since(attempt.ended_at);
  const waited = Math.min(attempt.waited_s ?? 0, granted);
  // The claim ends when the grant arrives, a moment after the dispatcher has written it down.
  const claim = Math.min(stages?.claim_s ?? 0, waited);
  const parts: [Stage, number][] = [
    ["wait", waited - claim],
    ["claim", claim],
  ];
  if (stages === null) parts.push(["run", ended - granted]);
  else {
    parts.push(["load", stages.load_s], ["run", stages.run_s], ["store", stages.store_s]);
    const told = stages.load_s + stages.run_s + stages.store_s;
    if (attempt.ended_at !== null) parts.push(["record", ended - granted - told]);
  }
  const cold = stages?.cold ?? false;
  const bars = inARow(granted - waited, parts);
  return { attempt: attempt.attempt, outcome, worker, resumed, cold, bars };
}

/** What waits for its first attempt, or for the next one. */
function waitingRow(
  { state, attempts, created_at, checkpoint }: Timeline,
  since: Since,
): Row | null {
  if (state !== "queued" && state !== "scheduled") return null;
  const from = since(attempts.at(-1)?.ended_at ?? created_at);
  const bars: Bar[] = [{ stage: "wait", start: from, length: since(null) - from }];
  const resumed = checkpoint?.step ?? null;
  return { attempt: attempts.length + 1, outcome: null, worker: null, resumed, cold: false, bars };
}

function inARow(start: number, parts: [Stage, number][]): Bar[] {
  const bars: Bar[] = [];
  for (const [stage, length] of parts) {
    if (length > 0) bars.push({ stage, start, length });
    start += Math.max(0, length);
  }
  return bars;
}

/** Round seconds to mark on an axis of this length: from two to five of them after the zero. */
export function ticks(length: number): number[] {
  if (length <= 0) return [0];
  const rough = length / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const sizes = rough > 30 ? [30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400] : [];
  const decimal = [1, 2, 2.5, 5, 10].map((each) => each * power);
  const step = (sizes.length > 0 ? sizes : decimal).find((each) => each >= rough) ?? rough;
  const found = [];
  for (let at = 0; at <= length; at += step) found.push(Number(at.toPrecision(6)));
  return found;
}
