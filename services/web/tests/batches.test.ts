// How a batch is put into words and into shares of a bar.

import { expect, test } from "vitest";

import { counted, shares, wrong } from "../src/batches";
import { pathOf, placeOf } from "../src/places";

const NONE = {
  waiting: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  dead: 0,
  rejected: 0,
};

test("a bar has a share for each way that items stand, and no empty ones", () => {
  const batch = { total: 8, counts: { ...NONE, succeeded: 4, rejected: 2, waiting: 2 } };

  expect(shares(batch).map(({ name, fraction }) => [name, fraction])).toEqual([
    ["succeeded", 0.5],
    ["rejected", 0.25],
    ["waiting", 0.25],
  ]);
});

test("what waits or runs has not ended, and what was cancelled did not go wrong", () => {
  const counts = {
    ...NONE,
    waiting: 10,
    running: 5,
    failed: 1,
    dead: 2,
    rejected: 3,
    cancelled: 7,
  };

  expect(counted({ total: 5000, counts })).toBe("4,985 of 5,000");
  expect(wrong({ counts })).toBe(6);
});

test("batches have addresses", () => {
  expect(placeOf("/batches")).toEqual({ at: "batches" });
  expect(placeOf("/batches/a-1/")).toEqual({ at: "batch", id: "a-1" });
  expect(pathOf({ at: "batch", id: "a-1" })).toBe("/batches/a-1");
});
