/**
 * Follows any number of jobs over one WebSocket (`/ws`), through lost connections, each frame once.
 *
 * No framework in here: copy this file and `frames.ts` to follow jobs from a page of your own.
 *
 *     const stream = new Stream({ url: "wss://example.org/ws" });
 *     const stop = stream.follow(job, { frame: (position, frame) => show(frame) });
 *
 * Laws:
 * 1. A frame's position is `epoch-seq`. What is at or before the last one seen is dropped; so a
 *    reconnect may replay as much as it likes.
 * 2. A `reset` is never dropped: it says that the positions before it no longer count.
 * 3. After a lost connection every job is asked for from where it was, after a wait that doubles up
 *    to a cap and is never the same for two pages.
 * 4. A job that has ended is not asked for again.
 * 5. A disconnect costs nothing on the server: the job goes on, its frames are kept.
 *
 * The page's part: call `reconnect()` when the browser says `online`, or when the machine slept (a
 * socket may be dead without a word of it), and `suspend()` when it says `offline`.
 */

import { isEnd, type Frame } from "./frames";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const CONNECT_WITHIN_MS = 10_000;
/** Before every frame: the whole of a job is asked for. */
export const START = "0-0";

/** An RFC 9457 problem, as the server complains with. */
export interface Complaint {
  title: string;
  detail: string;
  status: number;
}

export type Connection =
  /** Nothing to follow. */
  | { state: "idle" }
  | { state: "connecting" | "open" }
  /** Lost, for the `tries`-th time in a row. */
  | { state: "waiting"; wait_ms: number; tries: number }
  /** Told not to try: `suspend`. */
  | { state: "suspended" }
  /** The key is not taken; nothing is tried until `reconnect`. */
  | { state: "refused"; complaint: Complaint };

export interface Listener {
  frame(position: string, frame: Frame): void;
  /** The server will not serve this job, or not any more. */
  refused?(complaint: Complaint): void;
}

export interface Options {
  url: string;
  /** Asked at every connect; where there is a key, it is the first thing said. */
  key?: () => string | null;
  connection?: (now: Connection) => void;
  open?: (url: string) => WebSocket;
  random?: () => number;
}

interface Followed {
  listener: Listener;
  cursor: string;
}

type Heard =
  | { job: string; id: string; frame: Frame; error?: undefined }
  | { job?: string; error: Complaint; frame?: undefined };

export class Stream {
  #options: Options;
  #followed = new Map<string, Followed>();
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  /** Refused or suspended: only `reconnect` ends it. */
  #held = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Frames of `job` after a position, in order, until its terminal one. Returns how to stop. */
  follow(job: string, listener: Listener, after: string = START): () => void {
    const followed = { listener, cursor: after };
    this.#followed.set(job, followed);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#subscribe(job, followed);
    else if (this.#socket === null && this.#timer === undefined && !this.#held) this.#connect();
    return () => this.#leave(job, followed);
  }

  /** Connect anew: without waiting any longer, with a new key, or because this one seems dead. */
  reconnect(): void {
    this.#held = false;
    this.#drop();
    if (this.#followed.size > 0) this.#connect();
    else this.#tell({ state: "idle" });
  }

  /** There is no network: let go, and try nothing until `reconnect`. */
  suspend(): void {
    this.#hold({ state: "suspended" });
  }

  close(): void {
    this.#followed.clear();
    this.#drop();
    this.#tell({ state: "idle" });
  }

  #connect(): void {
    clearTimeout(this.#timer);
    const socket = (this.#options.open ?? ((url) => new WebSocket(url)))(this.#options.url);
    this.#socket = socket;
    this.#tell({ state: "connecting" });
    this.#timer = setTimeout(() => this.#lost(socket), CONNECT_WITHIN_MS);
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => this.#heard(socket, String(event.data));
    socket.onclose = () => this.#lost(socket);
  }

  #opened(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#stopTimer();
    const key = this.#options.key?.() ?? null;
    if (key !== null) this.#say({ authorization: key });
    for (const [job, followed] of this.#followed) this.#subscribe(job, followed);
    this.#tell({ state: "open" });
  }

  #heard(socket: WebSocket, text: string): void {
    if (socket !== this.#socket) return;
    this.#failures = 0;
    const heard = JSON.parse(text) as Heard;
    if (heard.error !== undefined) this.#complained(socket, heard.error, heard.job);
    else this.#deliver(heard.job, heard.id, heard.frame);
  }

  #deliver(job: string, position: string, frame: Frame): void {
    const followed = this.#followed.get(job);
    if (followed === undefined) return;
    if (frame.type !== "reset" && !isAfter(position, followed.cursor)) return;
    followed.cursor = position;
    if (isEnd(frame.type)) this.#followed.delete(job);
    followed.listener.frame(position, frame);
  }

  #complained(socket: WebSocket, complaint: Complaint, job: string | undefined): void {
    if (complaint.status === 401) {
      this.#hold({ state: "refused", complaint });
    } else if (complaint.status >= 500) {
      this.#lost(socket);
    } else if (job !== undefined) {
      const followed = this.#followed.get(job);
      this.#followed.delete(job);
      followed?.listener.refused?.(complaint);
    }
  }

  #lost(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#drop();
    if (this.#followed.size === 0) {
      this.#tell({ state: "idle" });
      return;
    }
    const wait_ms = this.#nextWait();
    this.#timer = setTimeout(() => this.#connect(), wait_ms);
    this.#tell({ state: "waiting", wait_ms, tries: this.#failures });
  }

  #hold(why: Connection): void {
    this.#held = true;
    this.#drop();
    this.#tell(why);
  }

  /** Half of it certain, half by chance: all pages lose the same server at once. */
  #nextWait(): number {
    const longest = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS);
    this.#failures = Math.min(this.#failures + 1, 10);
    return longest * (0.5 + 0.5 * (this.#options.random ?? Math.random)());
  }

  #subscribe(job: string, { cursor }: Followed): void {
    this.#say(cursor === START ? { subscribe: job } : { subscribe: job, after: cursor });
  }

  #leave(job: string, followed: Followed): void {
    if (this.#followed.get(job) !== followed) return;
    this.#followed.delete(job);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#say({ unsubscribe: job });
  }

  #say(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #drop(): void {
    this.#stopTimer();
    const socket = this.#socket;
    this.#socket = null; // first: what it still says is nobody's business
    socket?.close();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell(now: Connection): void {
    this.#options.connection?.(now);
  }
}

export function epochOf(position: string): number {
  return Number(position.slice(0, position.indexOf("-")));
}

/** Does `position` come after `other`? Later epochs come after earlier ones. */
export function isAfter(position: string, other: string): boolean {
  const epochs = epochOf(position) - epochOf(other);
  return epochs !== 0 ? epochs > 0 : seqOf(position) > seqOf(other);
}

function seqOf(position: string): number {
  return Number(position.slice(position.indexOf("-") + 1));
}
