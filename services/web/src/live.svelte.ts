// Jobs as the stream tells of them. Frames are taken together, once a screen refresh: a model may
// write faster than a page can be drawn.

import { SvelteMap, SvelteSet } from "svelte/reactivity";

import { key } from "./api";
import type { Frame } from "./frames";
import { UNSEEN, apply, type JobView } from "./state";
import { Stream, type Connection } from "./stream";

/** Of jobs on one socket: the server takes 64. */
export const MOST_FOLLOWED = 60;
const MOST_PENDING = 1000;
const HIDDEN_EVERY_MS = 500;

interface Pending {
  job: string;
  position: string;
  frame: Frame;
}

export class Live {
  connection: Connection = $state.raw({ state: "idle" });
  /** When it is tried again, in this machine's time. */
  retryAt: number | null = $state(null);
  #views = new SvelteMap<string, JobView>();
  #refused = new SvelteSet<string>();
  #following = new Map<string, () => void>();
  #pending: Pending[] = [];
  #cancelFlush: (() => void) | null = null;
  #stream: Stream;

  constructor() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.#stream = new Stream({
      url: `${scheme}://${location.host}/ws`,
      key: key.get,
      connection: (now) => {
        this.connection = now;
        this.retryAt = now.state === "waiting" ? Date.now() + now.wait_ms : null;
      },
    });
  }

  view(job: string): JobView | undefined {
    return this.#views.get(job);
  }

  /** The server does not show it: there is no such job, or not any more. */
  isRefused(job: string): boolean {
    return this.#refused.has(job);
  }

  /** From the beginning, once; asking again changes nothing. */
  follow(job: string): void {
    if (this.#following.has(job)) return;
    const stop = this.#stream.follow(job, {
      frame: (position, frame) => this.#take({ job, position, frame }),
      refused: () => {
        this.#following.delete(job);
        this.#refused.add(job);
      },
    });
    this.#following.set(job, stop);
  }

  /** Keep only what is still looked at. */
  forgetAllBut(jobs: ReadonlySet<string>): void {
    for (const [job, stop] of this.#following) {
      if (jobs.has(job)) continue;
      stop();
      this.#following.delete(job);
      this.#views.delete(job);
    }
  }

  reconnect(): void {
    this.#stream.reconnect();
  }

  suspend(): void {
    this.#stream.suspend();
  }

  close(): void {
    this.#cancelFlush?.();
    this.#stream.close();
  }

  #take(pending: Pending): void {
    this.#pending.push(pending);
    if (this.#pending.length >= MOST_PENDING) this.#flush();
    else this.#cancelFlush ??= beforeNextPaint(() => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = null;
    const changed = new Map<string, JobView>();
    for (const { job, position, frame } of this.#pending) {
      if (!this.#following.has(job)) continue;
      const view = changed.get(job) ?? this.#views.get(job) ?? UNSEEN;
      changed.set(job, apply(view, position, frame));
    }
    this.#pending = [];
    for (const [job, view] of changed) this.#views.set(job, view);
  }
}

/** A hidden page is not painted; it must still keep up. */
function beforeNextPaint(act: () => void): () => void {
  if (document.hidden) {
    const timer = setTimeout(act, HIDDEN_EVERY_MS);
    return () => clearTimeout(timer);
  }
  const frame = requestAnimationFrame(act);
  return () => cancelAnimationFrame(frame);
}
