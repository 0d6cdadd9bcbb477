// The console's decisions: addresses, searches, mended inputs, stages, charts, and when it asks.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Problem } from "../src/http";
import { beat } from "../src/beat";
import { bucketAt, line, marks, roundTop, stacked } from "../src/ops/chart";
import { fieldIn, fieldsFor, gather, heldOf, parsed, unfit } from "../src/ops/mending";
import { pathOf, placeOf } from "../src/ops/places";
import { inRounds, ROUNDS } from "../src/ops/rounds";
import { filterOf, lacking, searchOf, told } from "../src/ops/search";
import type { ManyRequest, Rollout } from "../src/ops/shapes";
import { fixedBy, kindsIn, moves, namesIn, standsAt, stepTo } from "../src/ops/staging";
import { age, bytes, count, isMissingRoute, perSecond, sentence, share } from "../src/ops/words";

test("an address says which page, which thing of it, and what it is filtered by", () => {
  expect(placeOf("/ops")).toEqual({ page: "overview", id: null, query: {} });
  expect(placeOf("/ops/jobs", "?state=dead&tenant=a")).toEqual({
    page: "jobs",
    id: null,
    query: { state: "dead", tenant: "a" },
  });
  expect(placeOf("/ops/queues/a%2Fb")).toMatchObject({ page: "queues", id: "a/b" });
  expect(placeOf("/ops/queues/%E0%A4%A")).toMatchObject({ id: "%E0%A4%A" });
});

test("what is no page of the console is nowhere", () => {
  expect(placeOf("/ops/elsewhere").page).toBeNull();
  expect(placeOf("/ops/rollout/7").page).toBeNull();
  expect(placeOf("/ops/jobs/1/2").page).toBeNull();
});

test("an address that is made is the one that is read", () => {
  expect(pathOf("overview")).toBe("/ops");
  expect(pathOf("jobs", null, { label: "team:a b", state: "", id: null })).toBe(
    "/ops/jobs?label=team%3Aa+b",
  );
  const address = new URL(pathOf("queues", "a/b?c"), "http://here");
  expect(placeOf(address.pathname).id).toBe("a/b?c");
});

test("a search holds what the address says and the api knows, trimmed", () => {
  expect(searchOf({ tenant: " a ", window: "60", kind: " " })).toEqual({ tenant: "a" });
  expect(filterOf({ state: "dead", worker: "w" })).toEqual({ state: "dead", worker: "w" });
  expect(told({ state: "dead", tenant: "a" })).toBe("jobs with state dead, tenant a");
  expect(told({})).toBe("all jobs");
});

test("half an id or a label without a value is not asked for", () => {
  expect(Object.keys(lacking({ id: "6f96", label: "team" }))).toEqual(["id", "label"]);
  expect(lacking({ id: "6f9619ff-8b86-4011-b42d-00c04fc964ff", label: "team:" })).toEqual({});
});

const SCHEMA = {
  required: ["prompt"],
  properties: {
    prompt: { type: "string" },
    steps: { type: "integer" },
    image: { type: "object", properties: { blob: { type: "string" } } },
  },
};

test("a mended input keeps what no field shows", () => {
  const fields = fieldsFor(SCHEMA);
  const held = heldOf(fields, { prompt: "why", steps: 900, of: "another engine" });
  held["steps"] = "12";

  const gathered = gather(fields, held, { prompt: "why", steps: 900, of: "another engine" });

  expect(gathered).toEqual({ input: { prompt: "why", steps: 12, of: "another engine" } });
});

test("a picture is mended by its name, as JSON", () => {
  const fields = fieldsFor(SCHEMA);

  expect(fields.find(({ name }) => name === "image")?.control).toBe("json");
});

test("what is wrong with a mended input is told by field", () => {
  const fields = fieldsFor(SCHEMA);
  const held = { ...heldOf(fields, {}), steps: "a few" };

  expect(gather(fields, held, {})).toEqual({
    wrong: { prompt: "This is needed.", steps: "This is not a number." },
  });
  expect(parsed("[1]")).toEqual({ problem: "An input is an object: { … }." });
  expect(parsed('{"a": 1}')).toEqual({ input: { a: 1 } });
});

test("a rehearsal's doubt finds its field, as a refusal does", () => {
  const fields = fieldsFor(SCHEMA);
  const refused = new Problem(422, "", "", "/input/steps/0");

  expect(fieldIn(refused, fields)).toBe("steps");
  const why = "its input does not fit: /steps: less than 100: please";
  const doubt = unfit({ why, pointer: "/input/steps" });
  expect([fieldIn(doubt, fields), doubt.detail]).toEqual([
    "steps",
    "/steps: less than 100: please",
  ]);
  expect(fieldIn(unfit({ why: "nobody knows", pointer: null }), fields)).toBeNull();
});

test("much is done in rounds, each from where the one before ended", async () => {
  const asked: ManyRequest[] = [];
  const ask = async (request: ManyRequest) => {
    asked.push(request);
    const last = asked.length === 3;
    const refused = [{ id: String(asked.length), why: "ended" }];
    return { matched: 2, done: 1, refused, more: !last, next: last ? null : `n${asked.length}` };
  };

  const all = await inRounds(ask, { filter: { state: "failed" } });

  expect(asked.map(({ cursor }) => cursor)).toEqual([undefined, "n1", "n2"]);
  expect(all).toMatchObject({ matched: 6, done: 3, more: false });
  expect(all.refused.map(({ id }) => id)).toEqual(["1", "2", "3"]);
});

test("rounds end, and say that there is more", async () => {
  let rounds = 0;
  const ask = async () => {
    rounds++;
    return { matched: 1, done: 1, refused: [], more: true, next: "n" };
  };

  const all = await inRounds(ask, { filter: { state: "failed" } });

  expect([rounds, all.more]).toEqual([ROUNDS, true]);
});

const rollout = (fields: Partial<Rollout>): Rollout => ({
  version: 4,
  source: "stored",
  fixed_by: [],
  stage: "off",
  internal: [],
  percent: 0,
  kinds: {},
  shadow_percent: 0,
  guard: { on: true, window_s: 300, at_least: 30, errors_over: 0.05, slower_by: 1 },
  changed_at: null,
  changed_by: null,
  tripped: null,
  paths: [],
  replicas: [],
  shadows: { compared: 0, same: 0, different: 0, latest: [] },
  ...fields,
});

test("a rollout stands at a stage, or between two", () => {
  expect(standsAt(rollout({ percent: 10 }))).toBe(10);
  expect(standsAt(rollout({ percent: 25 }))).toBeNull();
  expect(standsAt(rollout({ internal: ["house"] }))).toBe("internal");
  expect(standsAt(rollout({}))).toBeNull();
});

test("a step names the version that it begins from", () => {
  const now = rollout({ internal: ["house"], percent: 1 });

  expect(stepTo(50, now, [])).toEqual({ percent: 50, expect_version: 4 });
  expect(stepTo("internal", now, ["qa"])).toEqual({
    percent: 0,
    internal: ["qa"],
    expect_version: 4,
  });
});

test("there is something to roll back while anything takes the new path", () => {
  expect(moves(rollout({}))).toBe(false);
  expect(moves(rollout({ kinds: { image: "local" } }))).toBe(false);
  expect(moves(rollout({ kinds: { image: "distributed" } }))).toBe(true);
  expect(moves(rollout({ internal: ["house"] }))).toBe(true);
});

test("what a variable fixes is known by the variable's name", () => {
  const now = rollout({ fixed_by: ["ROLLOUT_PERCENT"] });

  expect(fixedBy("percent", now)).toBe("ROLLOUT_PERCENT");
  expect(fixedBy("shadow_percent", now)).toBeNull();
});

test("names and pinned kinds are read as people write them", () => {
  expect(namesIn("a, b\n b  c")).toEqual(["a", "b", "c"]);
  expect(kindsIn("image=local, text=distributed")).toEqual({
    kinds: { image: "local", text: "distributed" },
  });
  expect(kindsIn("image=remote")).toHaveProperty("problem");
});

test("a scale ends at a round number, never below what it shows", () => {
  expect([roundTop(0), roundTop(37, true), roundTop(3, true), roundTop(0.23)]).toEqual([
    1, 50, 3, 0.25,
  ]);
  for (const most of [0.001, 0.7, 1, 4.2, 99, 1234]) {
    expect(roundTop(most)).toBeGreaterThanOrEqual(most);
    expect(roundTop(most, true)).toBeGreaterThanOrEqual(most);
  }
});

test("bars stand on each other, and a line breaks where nothing is known", () => {
  expect(stacked([[2, 0, 3]])).toEqual([
    [
      [0, 2],
      [2, 2],
      [2, 5],
    ],
  ]);
  const drawn = line([1, 1, null, 1], 2, { wide: 40, high: 10 });
  expect(drawn).toBe("M5.0 5.0L15.0 5.0M31.7 5.0h6.7");
});

test("a place of the chart is a bucket of it, and the latest is always marked", () => {
  expect([bucketAt(-5, 100, 10), bucketAt(55, 100, 10), bucketAt(100, 100, 10)]).toEqual([0, 5, 9]);
  expect(marks(60, 4).at(-1)).toBe(59);
  expect(marks(60, 4).length).toBeLessThanOrEqual(4);
  expect(marks(0, 4)).toEqual([]);
});

test("numbers are told so that nothing is rounded away to nothing", () => {
  expect([share(0), share(0.0004), share(0.033), share(0.5), share(null)]).toEqual([
    "0 %",
    "< 0.1 %",
    "3.3 %",
    "50 %",
    "–",
  ]);
  expect([perSecond(0), perSecond(0.031), perSecond(4.13), perSecond(41.3)]).toEqual([
    "0",
    "0.03",
    "4.1",
    "41",
  ]);
  expect([age(41.4), age(730), age(7300)]).toEqual(["41 s", "12 min", "2 h 1 min"]);
  expect([bytes(0), bytes(1536), bytes(85_899_345_920)]).toEqual(["0 B", "1.5 KiB", "80 GiB"]);
  expect(count(1234567)).toBe("1\u202f234\u202f567");
  expect(sentence("it drains")).toBe("It drains.");
});

test("a route that is not there is told from a thing that is not there", () => {
  expect(isMissingRoute(new Problem(404, "", "", null, "not-found"))).toBe(true);
  expect(isMissingRoute(new Problem(404, "", "", null, "no-such-job"))).toBe(false);
  expect(isMissingRoute(new Problem(404, "", "", null, "no-admin"))).toBe(false);
  expect(isMissingRoute(new Problem(403, "", "", null, "forbidden"))).toBe(false);
});

class Page extends EventTarget {
  hidden = false;

  turn(hidden: boolean) {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("it asks at once and again, not while it is hidden, and at once when it is shown", async () => {
  const [page, act] = [new Page(), vi.fn(async () => undefined)];
  beat(act, 2000, page);
  await vi.advanceTimersByTimeAsync(4500);
  expect(act).toHaveBeenCalledTimes(3);

  page.turn(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(act).toHaveBeenCalledTimes(3);

  page.turn(false);
  expect(act).toHaveBeenCalledTimes(4);
});

test("a slow answer is waited for before the next question, and the end is the end", async () => {
  const slow = vi.fn(() => new Promise<void>((resolve) => setTimeout(resolve, 5000)));
  const stop = beat(slow, 2000, new Page());
  await vi.advanceTimersByTimeAsync(6900);
  expect(slow).toHaveBeenCalledTimes(1);

  await vi.advanceTimersByTimeAsync(200);
  expect(slow).toHaveBeenCalledTimes(2);
  stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(slow).toHaveBeenCalledTimes(2);
});
