// How fast a job advances, and when it may end.

const WINDOW_MS = 5000;
/** Below this a rate is noise. */
const LEAST_MS = 700;
/** What comes at first is a replay of what was before, as fast as the network goes. */
const REPLAY_MS = 1000;

/** Of something that counts up. It begins to count when it is made. */
export class Pace {
  #marks: { at: number; value: number }[] = [];
  #from: number;

  constructor(now: number) {
    this.#from = now + REPLAY_MS;
  }

  mark(value: number, now: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && value < last.value) this.#marks = []; // another attempt or stage
    if (now < this.#from) return;
    this.#marks.push({ at: now, value });
    while (this.#marks.length > 2 && now - this.#marks[1]!.at > WINDOW_MS) this.#marks.shift();
  }

  /** A second; null until it can be told, and when nothing has come for a while. */
  rate(now: number): number | null {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < LEAST_MS) return null;
    if (now - last.at > WINDOW_MS || last.value === first.value) return null;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }
}

/** Seconds until it ends, at the pace since it started. Nobody can tell from the first few percent. */
export function eta(fraction: number | null, startedAt: string | null, now: number): number | null {
  if (fraction === null || startedAt === null || fraction < 0.02 || fraction >= 1) return null;
  const sofar = (now - Date.parse(startedAt)) / 1000;
  return sofar <= 0 ? null : (sofar * (1 - fraction)) / fraction;
}
