// One run as the page has it: the record from the api, and what its stream goes on to tell of the jobs.

import { SvelteMap } from "svelte/reactivity";

import { Problem, api, key, type Run } from "./api";
import { isEnd, type Frame } from "./frames";

const LOOK_EVERY_MS = 400;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** What a job shows before its piece has an output. */
export interface Shown {
  fraction: number | null;
  doing: string | null;
  preview: string | null;
  text: string;
}

interface Heard {
  id?: string;
  event?: string;
  /** Of a job's frame; of `run` it says how the run stands. */
  data?: { job?: string; frame?: Frame };
  error?: { status: number };
}

const NOTHING: Shown = { fraction: null, doing: null, preview: null, text: "" };

/** Follows a run over its socket, through lost connections. `close` when it is left. */
export class RunWatch {
  run: Run | null = $state.raw(null);
  trouble: Problem | null = $state.raw(null);
  jobs = new SvelteMap<string, Shown>();
  #cursor = "";
  #socket: WebSocket | null = null;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(readonly id: string) {
    void this.look();
    this.#connect();
  }

  get over(): boolean {
    return this.run !== null && this.run.finished_at !== null;
  }

  /** Cancel it, retry a stage or add one: whatever answers with the run. */
  async ask(what: Promise<Run>): Promise<void> {
    try {
      this.run = await what;
      this.trouble = null;
      if (this.#socket === null) this.#connect();
    } catch (error) {
      this.#failed(error);
    }
  }

  async look(): Promise<void> {
    try {
      this.run = await api.run(this.id);
      this.trouble = null;
    } catch (error) {
      this.#failed(error);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#looking);
    this.#socket?.close();
  }

  #connect(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const after = this.#cursor === "" ? "" : `?after=${encodeURIComponent(this.#cursor)}`;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/runs/${this.id}/ws${after}`);
    this.#socket = socket;
    socket.onopen = () => {
      const shown = key.get();
      if (shown !== null) socket.send(JSON.stringify({ authorization: shown }));
    };
    socket.onmessage = (event) => this.#heard(JSON.parse(String(event.data)) as Heard);
    socket.onclose = (event) => this.#lost(event.code);
  }

  #heard({ id, event, data, error }: Heard): void {
    this.#failures = 0;
    if (error !== undefined || event === undefined) return;
    this.#cursor = id ?? this.#cursor;
    // Its record has the outputs. Frames come in bursts, and one look answers them all.
    if (event === "run" || isEnd(event)) this.#lookSoon();
    if (data?.job !== undefined && data.frame !== undefined) this.#show(data.job, data.frame);
  }

  #show(job: string, frame: Frame): void {
    const before = this.jobs.get(job) ?? NOTHING;
    this.jobs.set(job, after(before, frame));
  }

  #lookSoon(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      void this.look();
    }, LOOK_EVERY_MS);
  }

  #lost(code: number): void {
    this.#socket = null;
    if (this.#closed || (code === 1000 && !this.#cursor.endsWith("$")) || code === 1008) return;
    if (this.#cursor.endsWith("$")) {
      this.#lookSoon();
      return;
    }
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS);
    this.#failures = Math.min(this.#failures + 1, 10);
    this.#timer = setTimeout(() => this.#connect(), wait * (0.5 + 0.5 * Math.random()));
  }

  #failed(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    this.trouble = error;
  }
}

function after(before: Shown, frame: Frame): Shown {
  switch (frame.type) {
    case "started":
    case "attempt":
      return NOTHING;
    case "progress": {
      const steps = frame.steps === undefined ? "" : ` of ${frame.steps}`;
      const step = frame.step === undefined ? "" : `, step ${frame.step}${steps}`;
      const doing = `${frame.stage ?? "working"}${step}`;
      return { ...before, fraction: frame.fraction ?? before.fraction, doing };
    }
    case "preview":
      return { ...before, preview: frame.image };
    case "token":
      return { ...before, text: before.text + frame.text };
    default:
      return before;
  }
}
