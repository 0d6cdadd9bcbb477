// The stages of a rollout, and what a step to one of them changes.

import type { PathRolled, Rollout, RolloutChange } from "./shapes";

export const STAGES = ["internal", 1, 10, 50, 100] as const;
export type Stage = (typeof STAGES)[number];

export function stageWord(stage: Stage): string {
  return stage === "internal" ? "Internal" : `${stage} %`;
}

/** The one that it stands at; null: between them, or off. */
export function standsAt({ percent, internal }: Rollout): Stage | null {
  if (percent === 0) return internal.length > 0 ? "internal" : null;
  return STAGES.find((stage) => stage === percent) ?? null;
}

/** Only if nobody has changed it since it was read. */
export function stepTo(stage: Stage, now: Rollout, internal: string[]): RolloutChange {
  const percent = stage === "internal" ? 0 : stage;
  const names = stage === "internal" ? { internal } : {};
  return { percent, ...names, expect_version: now.version };
}

/** The variable of the environment that fixes a setting; null: it can be changed here. */
export function fixedBy(setting: string, { fixed_by }: Rollout): string | null {
  return fixed_by.find((variable) => variable === `ROLLOUT_${setting.toUpperCase()}`) ?? null;
}

/** Anything of it takes the new path, or would. */
export function moves({ percent, internal, kinds }: Rollout): boolean {
  return percent > 0 || internal.length > 0 || Object.values(kinds).includes("distributed");
}

export function sharesOf(paths: readonly PathRolled[]): Map<string, number> {
  const all = paths.reduce((sum, { submitted }) => sum + submitted, 0);
  return new Map(paths.map(({ path, submitted }) => [path, all === 0 ? 0 : submitted / all]));
}

/** Names by commas or lines, each once. */
export function namesIn(text: string): string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== "");
  return [...new Set(names)];
}

/** "image=local, text=distributed" as the api takes it, or what is wrong with it. */
export function kindsIn(
  text: string,
): { kinds: Record<string, "local" | "distributed"> } | { problem: string } {
  const kinds: Record<string, "local" | "distributed"> = {};
  for (const part of namesIn(text)) {
    const [kind = "", path] = part.split("=");
    if (kind === "" || (path !== "local" && path !== "distributed")) {
      return { problem: `“${part}” should be KIND=local or KIND=distributed.` };
    }
    kinds[kind] = path;
  }
  return { kinds };
}
