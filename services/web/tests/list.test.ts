// Pages become one list, without a gap or a double; many jobs are asked about in turns.

import { expect, test } from "vitest";

import { firstPage, inTurns, withNewer, withOlder } from "../src/list";

const page = (ids: string, next: string | null = null) => ({
  jobs: [...ids].map((id) => ({ id })),
  next,
});

test("what is new comes on top, and what is known stays where it was", () => {
  const listed = firstPage(page("cba", "older"));

  expect(withNewer(listed, page("edc"))).toEqual({ ids: [..."edcba"], next: "older" });
  expect(withNewer(listed, page(""))).toEqual(listed);
});

test("older pages go to the end, each job once", () => {
  const listed = withOlder(firstPage(page("dc", "older")), page("cba"));

  expect(listed).toEqual({ ids: [..."dcba"], next: null });
});

test("where more has come than a page holds the list begins anew, not with a gap", () => {
  const listed = firstPage(page("cba"));

  expect(withNewer(listed, page("zyx", "more"))).toEqual({ ids: [..."zyx"], next: "more" });
  expect(withNewer(listed, page("zyc", "more")).ids).toEqual([..."zycba"]);
});

test("what is in sight is asked about every time, the rest in turns", () => {
  const first = inTurns(["a", "b"], [..."cdefg"], 4, 0);
  const second = inTurns(["a", "b"], [..."cdefg"], 4, first.from);
  const third = inTurns(["a", "b"], [..."cdefg"], 4, second.from);

  expect(first.chosen).toEqual([..."abcd"]);
  expect(second.chosen).toEqual([..."abef"]);
  expect(third.chosen).toEqual([..."abgc"]);
  expect(inTurns([], [], 4, 3)).toEqual({ chosen: [], from: 0 });
  expect(inTurns([..."abcdef"], ["g"], 4, 0).chosen).toEqual([..."abcd"]);
});
