// Whether the key that is shown may change webhooks, or only look.

import { api } from "../api";
import type { Board } from "../board.svelte";
import { Problem } from "../http";

const LOCKED = "Your key may look and not change anything: it lacks the scope “submit”.";

export class Rights {
  /** Why nothing can be changed; null where it can, as far as is known. */
  locked: string | null = $state(null);
  #board: Board;

  constructor(board: Board) {
    this.#board = board;
  }

  async learn(): Promise<void> {
    try {
      const { scopes } = await api.whoami();
      this.locked = scopes.includes("submit") ? null : LOCKED;
    } catch (error) {
      this.refused(error);
    }
  }

  /** True: it is for want of a key, and asked for. */
  refused(error: unknown): boolean {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) this.#board.needsKey = true;
    return error.status === 401;
  }
}
