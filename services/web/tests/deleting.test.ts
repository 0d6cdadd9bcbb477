// What goes when something is deleted, and what a receipt tells.

import { expect, test } from "vitest";

import type { Job } from "../src/api";
import { counted, goesWith, wholeOf } from "../src/deleting";

const job = (id: string, labels: Record<string, string>, retry_of: string | null = null) =>
  ({ id, labels, retry_of }) as unknown as Job;

test("a job of a run or of a batch says which", () => {
  expect(wholeOf(job("a", { customer: "4711" }))).toBeNull();
  expect(wholeOf(job("a", { "headrace/run": "r" }))).toEqual({ what: "run", id: "r" });
  expect(wholeOf(job("a", { "headrace/batch": "b" }))).toEqual({ what: "batch", id: "b" });
});

test("its jobs leave with a run, a retry that somebody made of one does not", () => {
  expect(goesWith("r", job("a", { "headrace/run": "r" }))).toBe(true);
  expect(goesWith("r", job("b", { "headrace/run": "r" }, "a"))).toBe(false);
  expect(goesWith("r", job("c", { "headrace/run": "s" }))).toBe(false);
  expect(goesWith("b", job("b", {}, "a"))).toBe(true);
});

test("a receipt tells jobs and blobs before the rest, and nothing of what there was none of", () => {
  const removed = { attempts: 2, dead_letters: 0, streams: 1, blobs: 3, jobs: 1 };

  expect(counted({ removed })).toEqual([
    ["Jobs", 1],
    ["Blobs", 3],
    ["Streams", 1],
    ["Attempts", 2],
  ]);
});
