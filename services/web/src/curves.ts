// Curves of several trainings in one plot: pure geometry, in the units of the box they are drawn into.

import type { Point } from "./series";
import type { JobView } from "./state";

/** The curves that every training here has come first, in this order. */
const FIRST = ["loss", "val_loss", "val_accuracy"];

export interface Extent {
  left: number;
  right: number;
  low: number;
  high: number;
}

/** `none`: nothing made it that could have a log. `gone`: the log is no longer kept, or not ours to see. */
export type Standing = "none" | "asking" | "there" | "gone";

export function standing(
  job: string | null,
  view: JobView | undefined,
  { refused, ended }: { refused: boolean; ended: boolean },
): Standing {
  if (job === null) return "none";
  if (view !== undefined && Object.keys(view.metrics).length > 0) return "there";
  return refused || ended ? "gone" : "asking";
}

/** The names of all metrics of some views, each once. */
export function namesOf(views: readonly Pick<JobView, "metrics">[]): string[] {
  const found = new Set(views.flatMap(({ metrics }) => Object.keys(metrics)));
  const rest = [...found].filter((name) => !FIRST.includes(name)).sort();
  return [...FIRST.filter((name) => found.has(name)), ...rest];
}

/** What all of the lines need; room is left where one is flat. */
export function extentOf(lines: readonly (readonly Point[])[]): Extent | null {
  const points = lines.flat();
  if (points.length === 0) return null;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const room = high > low ? 0 : Math.abs(high) * 0.1 || 1;
  return { left: Math.min(...xs), right: Math.max(...xs), low: low - room, high: high + room };
}

export function path(points: readonly Point[], within: Extent, wide: number, high: number): string {
  const across = within.right - within.left || 1;
  const up = within.high - within.low;
  return points
    .map(([x, y], index) => {
      const at = ((x - within.left) / across) * wide;
      const down = high - ((y - within.low) / up) * high;
      return `${index === 0 ? "M" : "L"}${at.toFixed(1)} ${down.toFixed(1)}`;
    })
    .join("");
}

/** Every step that any of the lines has, in order. */
export function stepsOf(lines: readonly (readonly Point[])[]): number[] {
  return [...new Set(lines.flat().map(([x]) => x))].sort((a, b) => a - b);
}

/** The value there, or the last one before; null outside of the line. */
export function valueAt(points: readonly Point[], x: number): number | null {
  const last = points.at(-1);
  if (last === undefined || x > last[0]) return null;
  return points.filter(([each]) => each <= x).at(-1)?.[1] ?? null;
}
