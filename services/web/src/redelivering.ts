// Calls that were given up, made again all at once: found first, so that it can be said how many, then asked for.

import { Problem } from "./http";

/** Whoever has more narrows it down: nobody waits longer in front of a question. */
export const MOST = 1000;
export const PAGE = 200;
const AT_ONCE = 4;

interface Found {
  ids: string[];
  /** There are more than were looked for. */
  more: boolean;
}

type List = (cursor: string | undefined) => Promise<{
  deliveries: readonly { id: string }[];
  next: string | null;
}>;

export async function find(list: List): Promise<Found> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await list(cursor);
    ids.push(...page.deliveries.map(({ id }) => id));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && ids.length < MOST);
  return { ids: ids.slice(0, MOST), more: cursor !== undefined || ids.length > MOST };
}

/** How many will be made again, and how many cannot: their endpoint is gone or disabled, or they are. */
export async function again(
  ids: readonly string[],
  ask: (id: string) => Promise<unknown>,
  { signal, onprogress }: { signal: AbortSignal; onprogress: (done: number) => void },
): Promise<{ done: number; refused: number }> {
  const told = { done: 0, refused: 0 };
  const left = [...ids];
  async function worker() {
    for (let id = left.shift(); id !== undefined && !signal.aborted; id = left.shift()) {
      try {
        await ask(id);
        told.done += 1;
      } catch (error) {
        const known = error instanceof Problem && (error.status === 404 || error.status === 409);
        if (!known) {
          left.length = 0; // the others would meet the same
          throw error;
        }
        told.refused += 1;
      }
      onprogress(told.done + told.refused);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return told;
}
