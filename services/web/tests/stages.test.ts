import { describe, expect, it } from "vitest";

import type { PieceView, RunView, StageView } from "../src/generated";
import { pathOf, placeOf } from "../src/places";
import { pictureOf, rows, saidBy, timeFor, wentWrong } from "../src/stages";

function stage(name: string, after: string[] = [], pieces: PieceView[] = []): StageView {
  return {
    name,
    made_by: null,
    register_as: null,
    kind: "echo",
    model: null,
    state: "waiting",
    progress: 0,
    after,
    fans_out: false,
    on_failure: "fail",
    pieces,
  };
}

function piece(fields: Partial<PieceView>): PieceView {
  return {
    index: 0,
    state: "succeeded",
    tries: 1,
    job: null,
    progress: null,
    output: null,
    error: null,
    started_at: null,
    ended_at: null,
    ...fields,
  };
}

describe("the stages of a run", () => {
  it("stand in rows by what they wait for, however they are declared", () => {
    const stages = [stage("c", ["a", "b"]), stage("a"), stage("b", ["a"]), stage("d")];

    const names = rows(stages).map((row) => row.map(({ name }) => name));

    expect(names).toEqual([["a", "d"], ["b"], ["c"]]);
  });

  it("are all shown also where they wait for each other", () => {
    expect(rows([stage("a", ["b"]), stage("b", ["a"])]).flat()).toHaveLength(2);
  });

  it("show the picture and the words of a piece, and nothing else of it", () => {
    expect(pictureOf(piece({ output: { image: { blob: "b" } } }))).toBe("b");
    expect(pictureOf(piece({ output: { image: "b" } }))).toBeNull();
    expect(saidBy(piece({ output: { caption: "a cat" } }))).toBe("a cat");
    expect(saidBy(piece({ output: { width: 7 } }))).toBeNull();
  });

  it("can be retried where a piece went wrong", () => {
    expect(wentWrong(stage("a", [], [piece({}), piece({ state: "dead" })]))).toBe(true);
    expect(wentWrong(stage("a", [], [piece({})]))).toBe(false);
  });
});

describe("an address", () => {
  it.each(["/", "/jobs", "/jobs/7", "/runs", "/runs/7"])(
    "%s is of the place it leads to",
    (path) => {
      expect(pathOf(placeOf(path))).toBe(path);
    },
  );
});

describe("the time that a run has", () => {
  const begun = Date.parse("2030-01-31T12:00:00Z");
  const run = (fields: Partial<RunView>) =>
    ({
      deadline_s: 90,
      deadline_at: "2030-01-31T12:01:30Z",
      finished_at: null,
      ...fields,
    }) as RunView;

  it("is what is left of it, or that nothing is", () => {
    expect(timeFor(run({}), begun)).toBe("1 min 30 s until its deadline");
    expect(timeFor(run({}), begun + 90_000)).toBe("its deadline has passed");
  });

  it("is what it had, once it is over, and nothing where it is not bounded", () => {
    expect(timeFor(run({ finished_at: "2030-01-31T12:00:07Z" }), begun)).toBe("had 1 min 30 s");
    expect(timeFor(run({ deadline_s: null, deadline_at: null }), begun)).toBe("");
  });
});
