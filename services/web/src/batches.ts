// How a batch stands, in words and in shares of a bar.

import type { BatchView } from "./generated";
import { word } from "./stages";

/** Of the items, those that ended alike; `waiting` is what is left of the bar. */
export interface Share {
  name: string;
  label: string;
  count: number;
  fraction: number;
}

const ORDER = [
  "succeeded",
  "failed",
  "dead",
  "rejected",
  "cancelled",
  "running",
  "waiting",
] as const;

/** Those that there are, in the order in which they stand in the bar. */
export function shares({ counts, total }: Pick<BatchView, "counts" | "total">): Share[] {
  return ORDER.filter((name) => counts[name] > 0).map((name) => ({
    name,
    label: word(name),
    count: counts[name],
    fraction: counts[name] / total,
  }));
}

export function wrong({ counts }: Pick<BatchView, "counts">): number {
  return counts.failed + counts.dead + counts.rejected;
}

/** As in 1,200 of 5,000. */
export function counted({ counts, total }: Pick<BatchView, "counts" | "total">): string {
  const ended = total - counts.waiting - counts.running;
  return `${ended.toLocaleString("en")} of ${total.toLocaleString("en")}`;
}
