// From a job's frames to what is shown of it: one pure function, and where it starts.

import { isEnd, type Frame, type JobError, type Snapshot, type State } from "./frames";
import { EMPTY, add, type Series } from "./series";
import { epochOf } from "./stream";

const LOG_LINES = 500;
const PREVIEWS = 24;
/** In these states nothing that was said before is missed: it is to come, or the result has it. */
const WHOLE: ReadonlySet<State> = new Set(["scheduled", "queued", "succeeded"]);

export interface Preview {
  image: string;
  step: number | null;
}

/** An attempt that is over, while the job is not. */
export interface PastAttempt {
  attempt: number;
  reason: string | null;
}

/** What one attempt has shown so far; a new one begins with none of it. */
interface Shown {
  fraction: number | null;
  step: number | null;
  steps: number | null;
  stage: string | null;
  note: string | null;
  text: string;
  tokens: number;
  previews: readonly Preview[];
  /** Blobs of video that can be played before the whole is there. */
  segments: readonly string[];
  log: readonly string[];
  metrics: Readonly<Record<string, Series>>;
  /** Its beginning is no longer kept anywhere. */
  cut: boolean;
}

export interface JobView extends Shown {
  state: State;
  epoch: number;
  attempt: number;
  worker: string | null;
  ahead: number | null;
  past: readonly PastAttempt[];
  result: unknown;
  error: JobError | null;
}

const NOTHING_SHOWN: Shown = {
  fraction: null,
  step: null,
  steps: null,
  stage: null,
  note: null,
  text: "",
  tokens: 0,
  previews: [],
  segments: [],
  log: [],
  metrics: {},
  cut: false,
};

export const UNSEEN: JobView = {
  ...NOTHING_SHOWN,
  state: "queued",
  epoch: 0,
  attempt: 0,
  worker: null,
  ahead: null,
  past: [],
  result: null,
  error: null,
};

/** The view after a frame. Whoever calls has dropped what was seen before (`Stream` does). */
export function apply(view: JobView, position: string, frame: Frame): JobView {
  const epoch = epochOf(position);
  const opens = frame.type === "attempt" || frame.type === "started";
  const before = opens && epoch > view.epoch ? { ...view, ...NOTHING_SHOWN } : view;
  return { ...after(before, frame), epoch };
}

function after(view: JobView, frame: Frame): JobView {
  switch (frame.type) {
    case "queued":
      return { ...view, state: "queued", ahead: frame.position ?? null };
    case "started":
      return {
        ...view,
        state: "running",
        worker: frame.worker,
        attempt: frame.attempt,
        ahead: null,
      };
    case "attempt":
      return {
        ...view,
        state: frame.retry_in_s === undefined ? "queued" : "scheduled",
        past: [...view.past, { attempt: frame.attempt - 1, reason: frame.reason ?? null }],
      };
    case "progress":
      return {
        ...view,
        fraction: frame.fraction ?? view.fraction,
        step: frame.step ?? null,
        steps: frame.steps ?? null,
        stage: frame.stage ?? null,
        note: frame.note ?? null,
      };
    case "token":
      return { ...view, text: view.text + frame.text, tokens: view.tokens + 1 };
    case "preview": {
      const preview = { image: frame.image, step: frame.step ?? null };
      return { ...view, previews: [...view.previews, preview].slice(-PREVIEWS) };
    }
    case "segment":
      return { ...view, segments: [...view.segments, frame.blob] };
    case "log":
      return { ...view, log: [...view.log, frame.line].slice(-LOG_LINES) };
    case "metric": {
      const { name, value, step } = frame;
      const before = view.metrics[name] ?? EMPTY;
      const series = add(before, step ?? before.came, value);
      return { ...view, metrics: { ...view.metrics, [name]: series } };
    }
    case "reset":
      return ofSnapshot(frame.snapshot);
    case "cancelling":
      return { ...view, state: "cancelling" };
    case "succeeded":
      return { ...view, state: "succeeded", fraction: 1, result: frame.result, error: null };
    case "failed":
    case "dead":
      return { ...view, state: frame.type, error: frame.error };
    case "cancelled":
      return { ...view, state: "cancelled" };
    default:
      return view; // a newer server says more than this page knows
  }
}

/** The state alone, without what was said on the way. */
export function ofSnapshot(snapshot: Snapshot): JobView {
  return {
    ...UNSEEN,
    state: snapshot.state,
    attempt: snapshot.attempt,
    fraction: snapshot.progress,
    result: snapshot.output,
    error: snapshot.error,
    cut: !WHOLE.has(snapshot.state),
  };
}

/** What the store says of a job, and where it stands in its queue. */
export interface Told extends Snapshot {
  ahead?: number | null;
}

/**
 * What to show of a job that the store knows as `told` and the stream as `seen`: of a job that has
 * ended, a replay that is still under way would show the past as if it were now.
 */
export function shownOf(told: Told | null, seen: JobView | undefined): JobView {
  if (told === null) return seen ?? UNSEEN;
  if (seen === undefined || seen.epoch === 0 || (isEnd(told.state) && !isEnd(seen.state))) {
    return { ...ofSnapshot(told), cut: false, ahead: told.ahead ?? null, past: seen?.past ?? [] };
  }
  return seen.state === "queued" ? { ...seen, ahead: told.ahead ?? seen.ahead } : seen;
}
