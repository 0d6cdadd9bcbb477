// What is shown of a job, frame by frame.

import { expect, test } from "vitest";

import type { Frame, Snapshot } from "../src/frames";
import { UNSEEN, apply, shownOf, type JobView } from "../src/state";

const PREVIEW = "data:image/png;base64,AA==";

function after(...said: [string, Frame][]): JobView {
  return said.reduce((view, [position, frame]) => apply(view, position, frame), UNSEEN);
}

const snapshot = (state: Snapshot["state"], fields: Partial<Snapshot> = {}): Snapshot => ({
  state,
  attempt: 1,
  progress: null,
  output: null,
  error: null,
  ...fields,
});

const FIRST: [string, Frame][] = [
  ["0-1", { type: "queued" }],
  ["1-1", { type: "started", worker: "w1", attempt: 1 }],
  ["1-2", { type: "token", text: "Once" }],
  ["1-3", { type: "preview", image: PREVIEW, step: 4 }],
  ["1-4", { type: "progress", fraction: 0.5, step: 1, steps: 2, stage: "drawing" }],
  ["1-5", { type: "log", line: "hot" }],
  ["1-6", { type: "metric", name: "tokens_per_s", value: 12 }],
];

test("what an attempt says adds up", () => {
  const view = after(...FIRST, ["1-7", { type: "token", text: " upon" }]);

  expect(view).toMatchObject({
    state: "running",
    worker: "w1",
    attempt: 1,
    text: "Once upon",
    fraction: 0.5,
    step: 1,
    steps: 2,
    stage: "drawing",
    log: ["hot"],
    tokens: 2,
    metrics: { tokens_per_s: { points: [[0, 12]], came: 1 } },
    previews: [{ image: PREVIEW, step: 4 }],
  });
});

test("a new attempt clears what the one before it showed, and keeps why it ended", () => {
  const view = after(...FIRST, [
    "2-1",
    { type: "attempt", attempt: 2, reason: "busy", retry_in_s: 0.9 },
  ]);

  expect(view).toMatchObject({
    state: "scheduled",
    text: "",
    previews: [],
    log: [],
    metrics: {},
    fraction: null,
    past: [{ attempt: 1, reason: "busy" }],
  });
});

test("a start in a new epoch clears too, where the frame between was lost", () => {
  const view = after(
    ...FIRST,
    ["3-1", { type: "started", worker: "w2", attempt: 2 }],
    ["3-2", { type: "token", text: "Twice" }],
  );

  expect(view).toMatchObject({ text: "Twice", worker: "w2", attempt: 2, previews: [] });
});

test("the end comes with a new epoch and clears nothing", () => {
  const view = after(...FIRST, [
    "2-1",
    { type: "failed", error: { kind: "input", message: "no" } },
  ]);

  expect(view).toMatchObject({ state: "failed", text: "Once", error: { message: "no" } });
});

test("success is all of it", () => {
  const view = after(...FIRST, ["2-1", { type: "succeeded", result: { text: "Once" } }]);

  expect(view).toMatchObject({ state: "succeeded", fraction: 1, result: { text: "Once" } });
});

test("waiting for its turn again, it no longer waits for a time", () => {
  const view = after(
    ["2-1", { type: "attempt", attempt: 2, retry_in_s: 5 }],
    ["2-2", { type: "queued", position: 3 }],
  );

  expect(view).toMatchObject({ state: "queued", ahead: 3 });
});

test("a reset replaces everything", () => {
  const state = snapshot("running", { attempt: 2, progress: 0.25 });

  const view = after(...FIRST, ["3-8", { type: "reset", snapshot: state }]);

  expect(view).toMatchObject({
    state: "running",
    attempt: 2,
    fraction: 0.25,
    text: "",
    previews: [],
    cut: true,
    epoch: 3,
  });
});

test("after a reset the same attempt goes on without being cleared", () => {
  const view = after(
    ["3-8", { type: "reset", snapshot: snapshot("running") }],
    ["3-9", { type: "token", text: "more" }],
  );

  expect(view).toMatchObject({ text: "more", cut: true });
});

test("a frame that this page does not know changes nothing", () => {
  const unknown = { type: "sparkle" } as unknown as Frame;

  expect(after(...FIRST, ["1-7", unknown])).toEqual(after(...FIRST));
});

test("the log and the previews are bounded", () => {
  const many = Array.from({ length: 600 }, (_, index): [string, Frame][] => [
    [`1-${2 * index + 1}`, { type: "log", line: String(index) }],
    [`1-${2 * index + 2}`, { type: "preview", image: PREVIEW, step: index }],
  ]).flat();

  const view = after(...many);

  expect(view.log).toHaveLength(500);
  expect(view.log.at(-1)).toBe("599");
  expect(view.previews).toHaveLength(24);
});

test("a job that is over is not shown running while its past is replayed", () => {
  const done = snapshot("succeeded", { output: { text: "x" } });

  expect(shownOf(done, after(...FIRST)).state).toBe("succeeded");
});

test("a stream that knows of the end is ahead of a list that does not", () => {
  const seen = after(...FIRST, ["2-1", { type: "cancelled" }]);

  expect(shownOf(snapshot("running"), seen)).toMatchObject({ state: "cancelled", text: "Once" });
});

test("before the stream has spoken the record says it all", () => {
  expect(shownOf(snapshot("running", { progress: 0.4 }), undefined)).toMatchObject({
    state: "running",
    fraction: 0.4,
    cut: false,
  });
});

test("a reset misses what a failed job said, but nothing of one that succeeded", () => {
  const reset = (state: Snapshot["state"]) =>
    after(["3-8", { type: "reset", snapshot: snapshot(state) }]).cut;

  expect(reset("succeeded")).toBe(false);
  expect(reset("failed")).toBe(true);
});
