// Numbers over time stay few and true.

import { expect, test } from "vitest";

import { EMPTY, add, latest } from "../src/series";

const counted = (upTo: number) =>
  Array.from({ length: upTo }, (_, x) => x).reduce((series, x) => add(series, x, x * x), EMPTY);

test("a few points are all kept", () => {
  expect(counted(4).points).toEqual([
    [0, 0],
    [1, 1],
    [2, 4],
    [3, 9],
  ]);
});

test("however many come, a few hundred are kept: the first, the latest, evenly between", () => {
  for (const many of [240, 241, 1000, 9999]) {
    const series = counted(many);
    const xs = series.points.map(([x]) => x);

    expect(xs.length).toBeLessThanOrEqual(240);
    expect(xs.length).toBeGreaterThan(100);
    expect([xs[0], xs.at(-1)]).toEqual([0, many - 1]);
    expect(xs.slice(0, -1).every((x) => x % series.stride === 0)).toBe(true);
    expect(series.came).toBe(many);
  }
});

test("the latest is always the one that came last", () => {
  expect(latest(EMPTY)).toBeUndefined();
  expect(latest(counted(777))).toBe(776 ** 2);
});
