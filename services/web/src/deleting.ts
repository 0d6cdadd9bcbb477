// What goes when a job, a run or a batch is deleted, and how its receipt is put into words.

import type { Deletion, Job } from "./api";
import { spoken } from "./wording";

export type Deletable = "job" | "run" | "batch";

const RUN = "headrace/run";
const BATCH = "headrace/batch";

/** Each a line of the question. What belongs to others too is said to stay. */
export const GOES: Record<Deletable, readonly string[]> = {
  job: [
    "its input and its result",
    "its frames, as streams and logs replay them",
    "every blob that no other job, run or schedule names",
    "its attempts, its checkpoint, what was said of it, and calls of webhooks about it",
  ],
  run: [
    "every job that it made, each with its input, result and frames",
    "what its stages passed on to each other",
    "every blob that nothing else names",
    "calls of webhooks about these jobs",
  ],
  batch: [
    "its items, its counts, and the file that they were read from",
    "every job of it, with its input, result and frames",
    "every blob that nothing else names",
    "calls of webhooks about it and its jobs",
  ],
};

/** What a job may be a part of. Only a hint: a retry by hand has the labels too, and is its own. */
export function wholeOf({ labels }: Pick<Job, "labels">): { what: Deletable; id: string } | null {
  const [run, batch] = [labels[RUN], labels[BATCH]];
  if (run !== undefined) return { what: "run", id: run };
  return batch === undefined ? null : { what: "batch", id: batch };
}

/** Whether a job went with it. */
export function goesWith(
  id: string,
  { id: own, labels, retry_of }: Pick<Job, "id" | "labels" | "retry_of">,
): boolean {
  return own === id || (retry_of === null && (labels[RUN] === id || labels[BATCH] === id));
}

/** "Blobs" and how many, the most important first; what there was none of is left out. */
export function counted({ removed }: Pick<Deletion, "removed">): [string, number][] {
  const first = ["batches", "runs", "jobs", "items", "blobs", "streams"];
  const rank = (name: string) => (first.indexOf(name) + 1 || first.length + 1) - 1;
  return Object.entries(removed)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([name, count]) => [spoken(name), count]);
}
