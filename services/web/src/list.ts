// The list's order: newest first, pages joined without a gap or a double.

export interface Listed {
  ids: readonly string[];
  /** To go on from, at its end; null when it is all. */
  next: string | null;
}

interface Page {
  jobs: readonly { id: string }[];
  next: string | null;
}

/** What is new on top. Where the page does not reach what is listed, there may be a gap: begin anew. */
export function withNewer(listed: Listed, page: Page): Listed {
  const known = new Set(listed.ids);
  const reaches = page.next === null || page.jobs.some(({ id }) => known.has(id));
  if (!reaches) return firstPage(page);
  const fresh = page.jobs.map(({ id }) => id);
  const isFresh = new Set(fresh);
  return { ids: [...fresh, ...listed.ids.filter((id) => !isFresh.has(id))], next: listed.next };
}

export function withOlder(listed: Listed, page: Page): Listed {
  const known = new Set(listed.ids);
  const older = page.jobs.map(({ id }) => id).filter((id) => !known.has(id));
  return { ids: [...listed.ids, ...older], next: page.next };
}

export function firstPage(page: Page): Listed {
  return { ids: page.jobs.map(({ id }) => id), next: page.next };
}

/** Of many, so many a round: `urgent` ones always, the others in turns. `from` is where to go on. */
export function inTurns(
  urgent: readonly string[],
  others: readonly string[],
  most: number,
  from: number,
): { chosen: string[]; from: number } {
  const first = urgent.slice(0, most);
  const room = Math.min(most - first.length, others.length);
  const rest = Array.from({ length: room }, (_, nth) => others[(from + nth) % others.length]!);
  return {
    chosen: [...first, ...rest],
    from: others.length === 0 ? 0 : (from + room) % others.length,
  };
}
