// The small decisions around a job: addresses, shell lines, words, the server's clock.

import { afterEach, expect, test, vi } from "vitest";

import type { Job } from "../src/api";
import { correct, now } from "../src/clock";
import { followLine, submitLine } from "../src/curl";
import { placeOf } from "../src/places";
import { UNSEEN } from "../src/state";
import { left, localTimes, place, stateWord, waiting } from "../src/wording";

afterEach(() => vi.useRealTimers());

test("an address says what is shown", () => {
  expect(placeOf("/")).toEqual({ at: "new" });
  expect(placeOf("/jobs")).toEqual({ at: "list" });
  expect(placeOf("/jobs/a-1/")).toEqual({ at: "job", id: "a-1" });
  expect(placeOf("/jobs/%E0%A4%A")).toEqual({ at: "job", id: "%E0%A4%A" });
  expect(placeOf("/elsewhere")).toEqual({ at: "new" });
});

test("a shell line survives quotes, and never holds the key", () => {
  const job = {
    kind: "text",
    model: "m",
    input: { prompt: "it's" },
    links: { events: "/jobs/a/events" },
  };
  const caller = { origin: "https://here", withKey: true };

  expect(submitLine(job as unknown as Job, caller)).toContain(String.raw`"it'\''s"`);
  expect(followLine(job as unknown as Job, caller)).toBe(
    `curl -N 'https://here/jobs/a/events' \\\n  -H "apikey: $HEADRACE_KEY"`,
  );
  expect(followLine(job as unknown as Job, { ...caller, withKey: false })).not.toContain("apikey");
});

test("waiting is told by place or by time", () => {
  expect(waiting({ ...UNSEEN, ahead: 0 })).toBe("Up next");
  expect(waiting({ ...UNSEEN, ahead: 7 })).toBe("7 ahead");
  expect(waiting(UNSEEN)).toBe("Waits for a free worker");
  expect(waiting({ ...UNSEEN, state: "scheduled" })).toBe("Waits for its time");
  expect(waiting({ ...UNSEEN, state: "scheduled", attempt: 1 })).toBe("Waits for its next attempt");
  expect(place(1000)).toBe("More than 1000 ahead");
  expect(left(0.2)).toBe("about 1 s left");
});

test("a job that was tried is not planned", () => {
  expect(stateWord({ ...UNSEEN, state: "scheduled" })).toBe("Planned");
  expect(stateWord({ ...UNSEEN, state: "scheduled", attempt: 1 })).toBe("Trying again");
});

test("times of the api's are told on the reader's clock", () => {
  const said = localTimes("may start at 2020-05-06T07:08:09Z.");

  expect(said).toBe(`may start at ${new Date("2020-05-06T07:08:09Z").toLocaleString()}.`);
});

test("a clock that is wrong is set by the server's, a small difference is not", () => {
  vi.useFakeTimers({ now: Date.parse("2026-01-01T00:00:00Z") });

  correct("Thu, 01 Jan 2026 00:05:00 GMT", Date.now());
  expect(new Date(now()).toISOString()).toBe("2026-01-01T00:05:00.500Z");

  correct("Thu, 01 Jan 2026 00:00:01 GMT", Date.now());
  expect(now()).toBe(Date.now());
  correct(null, Date.now());
});
