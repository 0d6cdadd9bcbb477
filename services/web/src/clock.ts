// The server's time. Jobs carry its times, and a phone's own clock may be minutes off.

/** HTTP tells whole seconds, and an answer takes a while: less than this is no difference. */
const NOTICED_MS = 3000;
let ahead = 0;

export function now(): number {
  return Date.now() + ahead;
}

/** Learn from an answer's `Date`. */
export function correct(date: string | null, here: number): void {
  const there = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(there)) return;
  const difference = there + 500 - here;
  ahead = Math.abs(difference) < NOTICED_MS ? 0 : difference;
}
