// How the stages of a run are laid out and put into words.

import type { PieceView, RunView, StageView } from "./generated";
import { duration, roughly } from "./wording";

/** Stages by how many others must be over before them: what stands in one row may run at once. */
export function rows(stages: readonly StageView[]): StageView[][] {
  const depth = new Map<string, number>();
  const rows: StageView[][] = [];
  let left = [...stages];
  while (left.length > 0) {
    const ready = left.filter(({ after }) => after.every((name) => depth.has(name)));
    if (ready.length === 0) return [...rows, left];
    for (const stage of ready) {
      const behind = Math.max(-1, ...stage.after.map((name) => depth.get(name) ?? 0));
      depth.set(stage.name, behind + 1);
      (rows[behind + 1] ??= []).push(stage);
    }
    left = left.filter(({ name }) => !depth.has(name));
  }
  return rows;
}

const WORDS: Record<string, string> = {
  waiting: "Waiting",
  running: "Running",
  failing: "Stopping",
  cancelling: "Cancelling",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  dead: "Gave up",
  stopped: "Stopped",
  skipped: "Skipped",
  ended: "Done",
  rejected: "Rejected",
};

export function word(state: string): string {
  return WORDS[state] ?? state;
}

export function title(run: RunView): string {
  const { prompt, text } = run.input;
  if (typeof prompt === "string") return prompt;
  return typeof text === "string" ? text : run.pipeline;
}

/** What time a run has, or had, where that is bounded. */
export function timeFor(run: RunView, now: number): string {
  if (run.deadline_at === null || run.deadline_s === null) return "";
  if (run.finished_at !== null) return `had ${duration(run.deadline_s)}`;
  const seconds = (Date.parse(run.deadline_at) - now) / 1000;
  return seconds > 0 ? `${roughly(seconds)} until its deadline` : "its deadline has passed";
}

/** The picture that a piece gave, by its blob. */
export function pictureOf({ output }: PieceView): string | null {
  const image = output?.["image"] as { blob?: unknown } | undefined;
  return typeof image?.blob === "string" ? image.blob : null;
}

/** What a piece says, where it says something a person would read. */
export function saidBy({ output }: PieceView): string | null {
  const said = output?.["caption"] ?? output?.["text"];
  return typeof said === "string" ? said : null;
}

export function wentWrong(stage: StageView): boolean {
  return stage.pieces.some(({ state }) =>
    ["failed", "dead", "cancelled", "stopped"].includes(state),
  );
}
