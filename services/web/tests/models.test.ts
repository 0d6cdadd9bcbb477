// How a registered model, its route, its versions and their curves are put into words and shapes.

import { expect, test } from "vitest";

import type { Performance, Route, Version } from "../src/api";
import { extentOf, namesOf, path, standing, stepsOf, valueAt } from "../src/curves";
import {
  measure,
  measures,
  numberBefore,
  parameter,
  pairOf,
  parts,
  percentage,
  sharesOf,
  toldHow,
  toldRoute,
  verdictLine,
  weightsIn,
  whyKept,
} from "../src/models";
import { pathOf, placeOf } from "../src/places";
import { UNSEEN } from "../src/state";

function version(number: number, given: Partial<Version> = {}): Version {
  return { version: number, share: 0, retired_at: null, ...given } as Version;
}

test("models have addresses", () => {
  expect(placeOf("/models")).toEqual({ at: "models" });
  expect(placeOf("/models/digits-2.1/")).toEqual({ at: "model", id: "digits-2.1" });
  expect(pathOf({ at: "model", id: "digits" })).toBe("/models/digits");
  expect(pathOf({ at: "models" })).toBe("/models");
});

test("a version is kept while jobs are sent to it, or a roll back would", () => {
  const route = (number: number, weights: Record<string, number>) =>
    ({ number, weights, restores: null }) as Route;
  const routes = [route(3, { 3: 1 }), route(2, { 2: 1 }), route(1, { 1: 1 })];

  expect(whyKept(3, routes[0]!, routes)).toContain("Jobs are sent to it");
  expect(whyKept(2, routes[0]!, routes)).toContain("A roll back would go to it");
  expect(whyKept(1, routes[0]!, routes)).toBeNull();
  expect(whyKept(2, { ...routes[0]!, restores: 2 }, routes)).toBeNull();
});

test("a route is told by its versions, the oldest first", () => {
  const shares = { 10: 25, 9: 75 };

  expect(parts({ shares }).map((part) => part.version)).toEqual([9, 10]);
  expect(toldRoute({ shares })).toBe("version 9 75 %, version 10 25 %");
  expect(toldRoute({ shares: { 3: 100 } })).toBe("all to version 3");
  expect(percentage(100 / 3)).toBe("33.3 %");
  expect(percentage(0.004)).toBe("< 0.1 %");
});

test("a roll back goes to the route before the one whose weights hold", () => {
  expect(numberBefore({ number: 4, restores: null })).toBe(3);
  expect(numberBefore({ number: 5, restores: 3 })).toBe(2);
  expect(numberBefore({ number: 1, restores: null })).toBeNull();
  expect(numberBefore({ number: 6, restores: 1 })).toBeNull();
  expect(toldHow({ how: "rolled_back", restores: 3 })).toBe("Rolled back to route 3");
});

test("weights that were typed become a route, or a sentence of what is wrong", () => {
  expect(weightsIn({ 1: "90", 2: " 9,5 ", 3: "", 4: "0" })).toEqual({ weights: { 1: 90, 2: 9.5 } });
  expect(weightsIn({ 1: "many" })).toEqual({ problem: "Version 1: a number from 0 to a million." });
  expect(weightsIn({ 1: "-1" })).toHaveProperty("problem");
  expect(weightsIn({ 1: "", 2: "0" })).toEqual({
    problem: "One version at least has to get something.",
  });
  const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, nth) => [nth + 1, "1"]));
  expect(weightsIn(eleven)).toEqual({ problem: "A route names 10 versions at most." });
  expect(sharesOf({ 1: 3, 2: 1 })).toEqual({ 1: 75, 2: 25 });
});

test("at first those are compared that get most, then the newest that are not retired", () => {
  const retired_at = "2026-01-01T00:00:00Z";

  expect(
    pairOf([version(4, { retired_at }), version(3), version(2), version(1, { share: 100 })]),
  ).toEqual([1, 3]);
  expect(pairOf([version(2, { share: 100 }), version(1, { retired_at })])).toEqual([2, 1]);
  expect(pairOf([version(3), version(2, { share: 10 }), version(1, { share: 90 })])).toEqual([
    1, 2,
  ]);
  expect(pairOf([version(1, { share: 100 })])).toBeNull();
});

const FIGURES: Performance["versions"] = [
  {
    version: 1,
    share: 90,
    succeeded: 95,
    failed: 5,
    cancelled: 2,
    failure_rate: 0.05,
    queue: { p50_s: 0.02, p95_s: 0.1 },
    run: { p50_s: 1, p95_s: 2 },
    metric_mean: 0.91,
    metric_count: 40,
  },
  {
    version: 2,
    share: 10,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    failure_rate: null,
    queue: null,
    run: null,
    metric_mean: null,
    metric_count: 0,
  },
];

test("what is plotted says its number, or that there is none", () => {
  const [failed, running, waiting, right] = measures(FIGURES, "output.right");

  expect(failed?.spans.map(({ told }) => told)).toEqual(["5 % (5 of 100)", "no jobs"]);
  expect(running?.spans[0]).toEqual({ version: 1, solid: 1, light: 2, told: "1.0 s · 2.0 s" });
  expect(waiting?.spans[1]).toEqual({ version: 2, solid: null, light: null, told: "no jobs" });
  expect(right?.title).toBe("Right");
  expect(right?.spans.map(({ told }) => told)).toEqual(["0.91 (of 40)", "nothing said"]);
  expect(measures(FIGURES, null)).toHaveLength(3);
});

test("a parameter is written as a person would", () => {
  expect([parameter("digits"), parameter(null), parameter([32]), parameter(0.001)]).toEqual([
    "digits",
    "none",
    "[32]",
    "0.001",
  ]);
});

test("a verdict is a sentence", () => {
  const said = "no difference shown (p = 0.41)";

  expect(verdictLine({ of: "failure_rate", said })).toBe(`Failure rate: ${said}.`);
  expect(verdictLine({ of: "rating", said: "too few to tell." })).toBe("Rating: too few to tell.");
  expect(measure("output.right")).toBe("Right");
});

test("a training's log is there, being asked for, gone, or never was", () => {
  const curve = { points: [[1, 0.5]] as const, stride: 1, came: 1 };
  const seen = { ...UNSEEN, metrics: { loss: curve } };

  expect(standing(null, undefined, { refused: false, ended: false })).toBe("none");
  expect(standing("j", undefined, { refused: false, ended: false })).toBe("asking");
  expect(standing("j", undefined, { refused: true, ended: false })).toBe("gone");
  expect(standing("j", UNSEEN, { refused: false, ended: true })).toBe("gone");
  expect(standing("j", seen, { refused: false, ended: true })).toBe("there");
});

test("metrics are drawn each once, those of every training first", () => {
  const none = { points: [], stride: 1, came: 0 };

  expect(
    namesOf([
      { metrics: { grad_norm: none, val_accuracy: none, loss: none } },
      { metrics: { loss: none, val_loss: none } },
    ]),
  ).toEqual(["loss", "val_loss", "val_accuracy", "grad_norm"]);
});

test("lines of different lengths share one scale, and a flat one has room", () => {
  const long = [
    [1, 4],
    [2, 2],
    [5, 0],
  ] as const;
  const short = [
    [1, 3],
    [3, 1],
  ] as const;
  const extent = extentOf([long, short])!;

  expect(extent).toEqual({ left: 1, right: 5, low: 0, high: 4 });
  expect(path(short, extent, 100, 40)).toBe("M0.0 10.0L50.0 30.0");
  expect(stepsOf([long, short])).toEqual([1, 2, 3, 5]);
  expect(valueAt(long, 3)).toBe(2);
  expect(valueAt(short, 5)).toBeNull();
  expect(extentOf([[[1, 2]]])).toEqual({ left: 1, right: 1, low: 1.8, high: 2.2 });
  expect(extentOf([])).toBeNull();
});
