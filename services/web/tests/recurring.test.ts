// How schedules are put into words.

import { expect, test } from "vitest";

import { inZone, lastOutcome, nextIn, whatRecurs } from "../src/ops/recurring";
import type { Recurring } from "../src/ops/shapes";

const NOW = Date.parse("2026-11-27T12:00:00Z");

function a(fields: Partial<Recurring>): Recurring {
  return {
    id: "s",
    tenant: "red",
    cron: "0 6 * * *",
    in_words: "At 06:00 every day",
    timezone: "Europe/Berlin",
    job: { kind: "echo", input: {} },
    run: null,
    next_at: null,
    last_at: null,
    last_error: null,
    paused_at: null,
    created_at: null,
    ...fields,
  };
}

test("what recurs is a kind of job, or a run of a pipeline", () => {
  expect(whatRecurs(a({}))).toBe("echo");
  expect(whatRecurs(a({ job: null, run: { pipeline: "chain" } }))).toBe("run of chain");
});

test("when it fires next is told from now, and never if never", () => {
  expect(nextIn(a({ next_at: "2026-11-27T12:00:40Z" }), NOW)).toBe("in 40 s");
  expect(nextIn(a({ next_at: "2026-11-27T12:07:20Z" }), NOW)).toBe("in 7 min");
  expect(nextIn(a({ next_at: "2026-11-27T14:30:20Z" }), NOW)).toBe("in 2 h 30 min");
  expect(nextIn(a({ next_at: "2026-12-01T06:00:00Z" }), NOW)).toBe("in 3 days");
  expect(nextIn(a({ next_at: "2026-11-27T11:59:59Z" }), NOW)).toBe("now");
  expect(nextIn(a({}), NOW)).toBe("never again");
});

test("a time is told in the schedule's own zone, and in ours where the browser does not know it", () => {
  expect(inZone("2026-11-27T05:00:00Z", "Europe/Berlin")).toContain("6:00");
  expect(inZone("2026-11-27T05:00:00Z", "Europe/Atlantis")).toContain("your time");
});

test("its last time made something, or nothing and why, or has not come", () => {
  const last_at = "2026-11-27T11:58:00Z";
  expect(lastOutcome(a({}), NOW)).toMatchObject({ tone: "plain", word: "not yet" });
  expect(lastOutcome(a({ last_at }), NOW)).toMatchObject({ word: "made", when: "2 min ago" });
  expect(lastOutcome(a({ last_at, last_error: "no engine" }), NOW)).toMatchObject({
    tone: "bad",
    word: "made nothing",
    why: "no engine",
  });
});
