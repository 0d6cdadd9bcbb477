// Attempts on one scale: each bar where it was and as long as it took.

import { expect, test } from "vitest";

import type { Attempt, Timeline } from "../src/api";
import { chart, ticks } from "../src/timeline";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number) => new Date(T0 + seconds * 1000).toISOString();

const attempt = (fields: Partial<Attempt>): Attempt => ({
  attempt: 1,
  epoch: 1,
  worker: "w1",
  members: [],
  waited_s: 2,
  started_at: at(2),
  ended_at: null,
  outcome: null,
  error: null,
  stages: null,
  resumed_step: null,
  ...fields,
});

const timeline = (fields: Partial<Timeline>): Timeline => ({
  id: "a",
  api_key: null,
  state: "running",
  created_at: at(0),
  started_at: at(2),
  finished_at: null,
  cancel_asked_at: null,
  cancel_reason: null,
  cancel_s: null,
  total_s: null,
  trace_id: null,
  trace_url: null,
  checkpoint: null,
  attempts: [],
  ...fields,
});

const drawn = (told: Timeline, now: number) =>
  chart(told, T0 + now * 1000).rows.map(({ bars }) =>
    bars.map(({ stage, start, length }) => [stage, start, length]),
  );

test("stages follow each other, and add up to the end", () => {
  const stages = { claim_s: 0.5, load_s: 1, run_s: 3, store_s: 1, cold: false };
  const whole = attempt({ ended_at: at(8), outcome: "succeeded", stages });
  const told = timeline({ state: "succeeded", finished_at: at(8), attempts: [whole] });

  expect(drawn(told, 100)).toEqual([
    [
      ["wait", 0, 1.5],
      ["claim", 1.5, 0.5],
      ["load", 2, 1],
      ["run", 3, 3],
      ["store", 6, 1],
      ["record", 7, 1],
    ],
  ]);
  expect(chart(told, T0 + 100_000).length).toBe(8);
});

test("each attempt tells from which step it went on, and the next one from which it will", () => {
  const first = attempt({ ended_at: at(4), outcome: "lost" });
  const second = attempt({ attempt: 2, ended_at: at(8), outcome: "lost", resumed_step: 3 });
  const checkpoint = { step: 7, at: at(7) };
  const told = timeline({ state: "queued", attempts: [first, second], checkpoint });

  expect(chart(told, T0 + 9000).rows.map(({ resumed }) => resumed)).toEqual([null, 3, 7]);
});

test("what runs reaches to now", () => {
  const told = timeline({ attempts: [attempt({})] });

  expect(drawn(told, 7)).toEqual([
    [
      ["wait", 0, 2],
      ["run", 2, 5],
    ],
  ]);
});

test("between attempts it waits, on the same scale", () => {
  const lost = attempt({ ended_at: at(5), outcome: "lost" });
  const told = timeline({ state: "queued", attempts: [lost] });

  expect(drawn(told, 9)).toEqual([
    [
      ["wait", 0, 2],
      ["run", 2, 3],
    ],
    [["wait", 5, 4]],
  ]);
});

test("a job that was never tried only waits", () => {
  expect(drawn(timeline({ state: "queued", started_at: null }), 4)).toEqual([[["wait", 0, 4]]]);
  expect(chart(timeline({ created_at: null }), T0)).toEqual({ rows: [], length: 0 });
});

test("an axis is marked at round seconds, a few of them", () => {
  expect(ticks(0)).toEqual([0]);
  expect(ticks(4.3)).toEqual([0, 2, 4]);
  expect(ticks(100)).toEqual([0, 25, 50, 75, 100]);
  expect(ticks(1000)).toEqual([0, 300, 600, 900]);
  for (const length of [0.003, 0.7, 59, 3601, 1e6, 1e8]) {
    expect(ticks(length).length).toBeLessThan(14);
  }
});
