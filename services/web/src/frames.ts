// What a watcher of a job sees, as `libs/contracts/src/headrace/contracts/frames.py` declares it.

export interface JobError {
  kind: string;
  message: string;
  field?: string | null;
  detail?: string | null;
}

export interface Snapshot {
  state: State;
  attempt: number;
  progress: number | null;
  output: unknown;
  error: JobError | null;
}

export type State =
  "scheduled" | "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "dead";

export type Frame =
  | { type: "queued"; position?: number; eta_s?: number }
  | { type: "started"; worker: string; attempt: number }
  | { type: "attempt"; attempt: number; reason?: string; retry_in_s?: number }
  | {
      type: "progress";
      fraction?: number;
      step?: number;
      steps?: number;
      stage?: string;
      note?: string;
    }
  | { type: "token"; text: string }
  | { type: "preview"; image: string; step?: number }
  | { type: "segment"; blob: string; media_type: string; duration_s?: number }
  | { type: "log"; line: string }
  | { type: "metric"; name: string; value: number; step?: number }
  | { type: "reset"; snapshot: Snapshot }
  | { type: "cancelling" }
  | { type: "succeeded"; result: unknown }
  | { type: "failed"; error: JobError }
  | { type: "cancelled" }
  | { type: "dead"; error: JobError };

const ENDS: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "dead"]);

/** The types of terminal frames are the names of the terminal states. */
export function isEnd(typeOrState: string): boolean {
  return ENDS.has(typeOrState);
}
