// Rates and what is left: told only when there is something to tell.

import { expect, test } from "vitest";

import { Pace, eta } from "../src/pace";

const T0 = Date.parse("2026-01-01T00:00:00Z");

test("a rate is that of the last seconds", () => {
  const pace = new Pace(0);
  for (let at = 1000; at <= 20_000; at += 100) pace.mark(at < 10_000 ? 0 : at / 100, at);

  expect(pace.rate(20_000)).toBeCloseTo(10, 0);
});

test("a replay of what was before is no rate", () => {
  const pace = new Pace(0);
  for (let at = 0; at < 1000; at += 10) pace.mark(at * 50, at);

  expect(pace.rate(1000)).toBeNull();
});

test("after a silence nobody knows the rate, and another attempt counts anew", () => {
  const pace = new Pace(0);
  for (let at = 1000; at <= 3000; at += 100) pace.mark(at, at);
  expect(pace.rate(3000)).toBeCloseTo(1000, 0);
  expect(pace.rate(9000)).toBeNull();

  pace.mark(1, 9000);
  expect(pace.rate(9000)).toBeNull();
});

test("what is left follows from the pace since it started", () => {
  const started = new Date(T0).toISOString();

  expect(eta(0.25, started, T0 + 10_000)).toBeCloseTo(30);
  expect(eta(0.001, started, T0 + 10_000)).toBeNull();
  expect(eta(1, started, T0 + 10_000)).toBeNull();
  expect(eta(null, started, T0)).toBeNull();
  expect(eta(0.5, null, T0)).toBeNull();
  expect(eta(0.5, started, T0 - 1000)).toBeNull();
});
