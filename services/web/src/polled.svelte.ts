// Something of the server's that is shown as it is now, or as it was when it could last be asked.

import { Problem } from "./http";
import { beat } from "./beat";

export class Polled<T> {
  value: T | null = $state.raw(null);
  /** Why it could not be had, last time; null when it could. */
  problem: Problem | null = $state.raw(null);
  #ask: () => Promise<T>;
  #every_ms: number;
  #turn = 0;

  constructor(ask: () => Promise<T>, every_ms: number) {
    this.#ask = ask;
    this.#every_ms = every_ms;
  }

  /** Until the returned function is called. */
  run(): () => void {
    return beat(() => this.refresh(), this.#every_ms, document);
  }

  /** An answer that comes after a later question was asked is not shown. */
  async refresh(): Promise<void> {
    const turn = ++this.#turn;
    try {
      const value = await this.#ask();
      if (turn !== this.#turn) return;
      this.value = value;
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (turn === this.#turn) this.problem = error;
    }
  }

  /** Something else is asked for from now on: what was shown is not it. */
  forget(): void {
    this.#turn++;
    this.value = null;
    this.problem = null;
  }
}
