// What is written by hand about frames fits what the api describes. (That `generated.ts` itself is
// up to date is tested where it is made: tests/unit/docs.)

import { expectTypeOf, test } from "vitest";

import type { Frame, JobError, State } from "../src/frames";
import type * as described from "../src/generated";

test("the frames are those that the api describes", () => {
  expectTypeOf<Frame["type"]>().toEqualTypeOf<described.Frame["type"]>();
  expectTypeOf<State>().toEqualTypeOf<described.State>();
  expectTypeOf<described.ErrorView>().toExtend<JobError>();
});

test("each frame has the fields that the api describes", () => {
  type Hand<T extends Frame["type"]> = keyof Extract<Frame, { type: T }>;
  type Told<T extends Frame["type"]> = keyof Extract<described.Frame, { type: T }>;

  expectTypeOf<{ [T in Frame["type"]]: Hand<T> }>().toEqualTypeOf<{
    [T in Frame["type"]]: Told<T>;
  }>();
});
