// How webhooks are put into words, and how what was given up is made again.

import { expect, test } from "vitest";

import { Problem } from "../src/http";
import { warmOn, told } from "../src/ops/warm";
import type { Worker } from "../src/ops/shapes";
import { pathOf, placeOf, type Place } from "../src/places";
import { MOST, PAGE, again, find } from "../src/redelivering";
import { bytes } from "../src/wording";
import {
  callStanding,
  hostOf,
  lastError,
  standingOf,
  toldEvents,
  toldTries,
  toldTry,
  toldWhen,
} from "../src/webhooks";

const NOW = Date.parse("2030-01-31T12:00:00Z");
const CALL = {
  state: "waiting",
  tries: 0,
  type: "job.dead",
  next_at: "2030-01-31T12:05:00Z",
  settled_at: null,
  log: [],
} as const;
const quiet = () => ({ signal: new AbortController().signal, onprogress: () => undefined });

test("endpoints and calls have addresses", () => {
  const places: Place[] = [
    { at: "webhooks" },
    { at: "webhook", id: "a-1" },
    { at: "deliveries" },
    { at: "delivery", id: "b-2" },
  ];

  expect(places.map((place) => placeOf(pathOf(place)))).toEqual(places);
});

test("an endpoint is on, failing, or disabled and says why", () => {
  const on = { disabled_at: null, disabled_why: null, failing_since: null };
  const at = "2030-01-31T11:58:00Z";

  expect(standingOf(on, NOW)).toEqual({ tone: "good", word: "on", why: "" });
  expect(standingOf({ ...on, failing_since: at }, NOW).why).toContain("no call has arrived since");
  const gone = { ...on, disabled_at: at, failing_since: at, disabled_why: "it answered 410" };
  expect(standingOf(gone, NOW)).toEqual({
    tone: "bad",
    word: "disabled",
    why: "2 min ago: it answered 410",
  });
  expect(standingOf({ ...gone, disabled_why: "asked" }, NOW).why).toBe(
    "2 min ago: as somebody asked",
  );
  expect(toldEvents([])).toBe("the four ends of a job");
});

test("a call says when it is tried next, or what became of it", () => {
  const settled = "2030-01-31T11:57:00Z";

  expect(callStanding(CALL).word).toBe("Waiting");
  expect(callStanding({ ...CALL, tries: 2 }).word).toBe("Trying again");
  expect(toldWhen(CALL, NOW)).toBe("next try in 5 min");
  expect(toldWhen({ ...CALL, next_at: "2030-01-31T11:59:59Z" }, NOW)).toBe("tried now");
  expect(toldWhen({ ...CALL, state: "given_up", settled_at: settled }, NOW)).toBe(
    "given up 3 min ago",
  );
  expect(toldWhen({ ...CALL, state: "delivered", settled_at: settled }, NOW)).toBe(
    "arrived 3 min ago",
  );
  expect([toldTries(0), toldTries(1), toldTries(9)]).toEqual(["not tried yet", "1 try", "9 tries"]);
  expect(toldTry({ status: 500, error: "answered 500" })).toEqual({
    what: "answered 500",
    why: null,
  });
  expect(toldTry({ status: null, error: "no answer within 15 s" }).why).toContain("15 s");
  expect(lastError({ log: [{ error: "answered 500" }, { error: null }] })).toBeNull();
  expect([hostOf("https://a.example:8443/x?y"), hostOf("no address")]).toEqual([
    "a.example:8443",
    "no address",
  ]);
});

test("what was given up is found page by page, up to a bound", async () => {
  const asked: (string | undefined)[] = [];
  const pages = (count: number) => (cursor: string | undefined) => {
    asked.push(cursor);
    const from = Number(cursor ?? 0);
    const ids = Array.from({ length: Math.min(PAGE, count - from) }, (_, n) => `${from + n}`);
    const next = from + PAGE < count ? String(from + PAGE) : null;
    return Promise.resolve({ deliveries: ids.map((id) => ({ id })), next });
  };

  expect(await find(pages(PAGE + 1))).toMatchObject({ ids: { length: PAGE + 1 }, more: false });
  expect(asked).toEqual([undefined, String(PAGE)]);
  expect(await find(pages(MOST))).toMatchObject({ ids: { length: MOST }, more: false });
  expect(await find(pages(MOST + 1))).toMatchObject({ ids: { length: MOST }, more: true });
});

test("a call that nobody is there for does not keep the others", async () => {
  const asked: string[] = [];
  const ask = async (id: string) => {
    asked.push(id);
    if (id === "b") throw new Problem(409, "Nobody to call", "");
  };

  expect(await again(["a", "b", "c"], ask, quiet())).toEqual({ done: 2, refused: 1 });
  expect(asked.sort()).toEqual(["a", "b", "c"]);
});

test("a server that does not answer, or whoever leaves, ends it", async () => {
  const asked: string[] = [];
  const away = (id: string) => {
    asked.push(id);
    return Promise.reject(new Problem(0, "The server does not answer", ""));
  };
  const ids = Array.from({ length: 50 }, (_, nth) => String(nth));

  await expect(again(ids, away, quiet())).rejects.toThrow("does not answer");
  expect(asked.length).toBeLessThan(10);

  const leaving = new AbortController();
  const one = () => Promise.resolve(leaving.abort());
  const left = await again(ids, one, { signal: leaving.signal, onprogress: () => undefined });
  expect(left.done).toBeLessThan(10);
});

test("who has a model loaded is told by version, and how much memory that takes", () => {
  const model = (name: string, slots = 1) => ({
    lane: "serve",
    model: name,
    slots,
    memory_bytes: 2 ** 20,
    load_s: 0.5,
  });
  const workers = [
    { id: "one", state: "alive", models: [model("digits@2", 2), model("digits-mlp@2")] },
    { id: "two", state: "draining", models: [model("digits@10"), model("digits")] },
    { id: "three", state: "alive", models: null },
  ] as unknown as Worker[];

  const warm = warmOn("digits", workers);

  expect(warm.map(({ worker, version }) => [worker, version])).toEqual([
    ["one", 2],
    ["two", 10],
  ]);
  expect(told(warm, bytes)).toBe("on 2 workers, up to 3.0 MiB");
  expect(told([], bytes)).toBe("nowhere");
});
