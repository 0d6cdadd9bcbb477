// Which workers have versions of a model loaded.

import type { Worker } from "./shapes";

export interface WarmOn {
  worker: string;
  state: string;
  version: number;
  slots: number;
  memory_bytes: number;
  load_s: number;
}

/** Of one model's versions, by worker. Workers say a model's name and not whose it is. */
export function warmOn(name: string, workers: readonly Worker[]): WarmOn[] {
  return workers.flatMap(({ id, state, models }) =>
    (models ?? []).flatMap(({ model, slots, memory_bytes, load_s }) => {
      const at = model.lastIndexOf("@");
      const version = Number(model.slice(at + 1));
      if (at < 0 || model.slice(0, at) !== name || !Number.isInteger(version)) return [];
      return [{ worker: id, state, version, slots, memory_bytes, load_s }];
    }),
  );
}

/** "on 2 workers, up to 3.1 GiB": of slots that share a worker the largest is told. Or that none has it. */
export function told(warm: readonly WarmOn[], bytes: (value: number) => string): string {
  const workers = new Set(warm.map(({ worker }) => worker)).size;
  if (workers === 0) return "nowhere";
  const memory = warm.reduce((sum, { memory_bytes, slots }) => sum + memory_bytes * slots, 0);
  return `on ${workers} ${workers === 1 ? "worker" : "workers"}, up to ${bytes(memory)}`;
}
