// Much at once, in as many requests as that takes: the api touches so many jobs in one.

import type { ManyDone, ManyRequest } from "./shapes";

/** Beyond this an operator narrows the search: nobody waits longer in front of a question. */
export const ROUNDS = 10;

/** Each goes on where the one before ended, so that nothing is done twice. `more`: some were not reached. */
export async function inRounds(
  ask: (request: ManyRequest) => Promise<ManyDone>,
  request: ManyRequest,
): Promise<ManyDone> {
  let all = await ask(request);
  for (let round = 1; round < ROUNDS && all.more && all.next !== null; round++) {
    const one = await ask({ ...request, cursor: all.next });
    all = {
      matched: all.matched + one.matched,
      done: all.done + one.done,
      refused: [...all.refused, ...one.refused],
      more: one.more,
      next: one.next,
    };
  }
  return all;
}
