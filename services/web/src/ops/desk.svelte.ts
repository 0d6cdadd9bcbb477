// What the console knows wherever one is: the place, who operates and what they may, the last word.

import { now } from "../clock";
import { Problem } from "../http";
import { calls } from "./calls";
import { operator } from "./operator";
import { placeOf, type Place } from "./places";
import type { Whoami } from "./shapes";
import { isMissingRoute } from "./words";

const TICK_MS = 1000;
const SAID_MS = 8000;

/** `asking`: not known yet. `none`: this installation has no operators. */
export type Entry = "asking" | "in" | "key" | "none" | "unreachable";

export class Desk {
  place: Place = $state.raw(placeOf(""));
  entry: Entry = $state("asking");
  /** Why there is no way in, or null. */
  problem: Problem | null = $state.raw(null);
  me: Whoami | null = $state.raw(null);
  now = $state(now());
  /** What was done last; read out, and gone after a while. */
  said = $state("");
  #saying: ReturnType<typeof setTimeout> | undefined;

  /** Why nothing can be changed; null where it can. */
  get locked(): string | null {
    if (this.me === null || this.me.may_change) return null;
    return "Your key may look and not change anything.";
  }

  /** Runs until the returned function is called. */
  start(): () => void {
    const leaving = new AbortController();
    const { signal } = leaving;
    const tick = setInterval(() => (this.now = now()), TICK_MS);
    addEventListener("popstate", () => this.#arrive(), { signal });
    document.addEventListener("click", (event) => this.#follow(event), { signal });
    this.#arrive();
    void this.enter();
    return () => {
      clearInterval(tick);
      leaving.abort();
    };
  }

  go(address: string): void {
    if (address !== location.pathname + location.search) history.pushState(null, "", address);
    this.#arrive();
  }

  /** In the place of this address: for what is filtered by, which is no step back. */
  replace(address: string): void {
    history.replaceState(null, "", address);
    this.#arrive();
  }

  say(words: string): void {
    clearTimeout(this.#saying);
    this.said = words;
    this.#saying = setTimeout(() => (this.said = ""), SAID_MS);
  }

  /** True where the server takes the key. */
  async useKey(key: string, name: string): Promise<boolean> {
    operator.set(key, name);
    await this.enter();
    if (this.entry === "key") operator.forget();
    return this.entry === "in";
  }

  leave(): void {
    operator.forget();
    location.assign("/ops"); // nothing that was shown with it may stay
  }

  async enter(): Promise<void> {
    try {
      this.me = await who();
      this.entry = "in";
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.problem = error;
      this.entry = this.#barred(error);
    }
  }

  #barred({ status, slug }: Problem): Entry {
    if (slug === "no-admin") return "none";
    return status === 401 || status === 403 ? "key" : "unreachable";
  }

  #arrive(): void {
    this.place = placeOf(location.pathname, location.search);
  }

  /** Links within the console need no new document. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    const address = link?.getAttribute("href") ?? "";
    if (!/^\/ops(\/|\?|$)/.test(address)) return;
    event.preventDefault();
    this.go(address);
  }
}

/** Whoever may not read is told why by a route that they cannot read. */
async function who(): Promise<Whoami> {
  const me = await calls.whoami().catch((error: unknown) => {
    if (error instanceof Problem && isMissingRoute(error)) return null;
    throw error;
  });
  if (me === null || !me.may_read) await calls.lanes();
  // A server that does not tell has one operator, who may do everything.
  return me ?? { tenant: null, scopes: ["admin"], may_read: true, may_change: true, who: "admin" };
}
