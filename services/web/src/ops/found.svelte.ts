// The jobs that a search found, newest first, kept up to date, and those that were chosen of them.

import { SvelteSet } from "svelte/reactivity";

import { firstPage, withNewer, withOlder, type Listed } from "../list";
import { calls } from "./calls";
import { Polled } from "../polled.svelte";
import { filterOf, type Search } from "./search";
import type { AnyJob } from "./shapes";

const EVERY_MS = 3000;
const PAGE = 50;
/** The most that the api gives at once: so many are kept up to date, those before stay as they came. */
const MOST = 200;

export class Found {
  chosen = new SvelteSet<string>();
  polled = new Polled(() => this.#ask(), EVERY_MS);
  loadingOlder = $state(false);
  #listed: Listed | null = $state.raw(null);
  #records: ReadonlyMap<string, AnyJob> = $state.raw(new Map());
  #search: Search = {};

  get jobs(): AnyJob[] {
    return (this.#listed?.ids ?? []).flatMap((id) => this.#records.get(id) ?? []);
  }

  get more(): boolean {
    return (this.#listed?.next ?? null) !== null;
  }

  /** Until the returned function is called. */
  run(search: Search): () => void {
    this.#search = search;
    this.#listed = null;
    this.chosen.clear();
    this.polled.forget();
    return this.polled.run();
  }

  async older(): Promise<void> {
    const listed = this.#listed;
    if (listed === null || listed.next === null || this.loadingOlder) return;
    this.loadingOlder = true;
    try {
      const page = await calls.jobs({
        ...filterOf(this.#search),
        limit: PAGE,
        cursor: listed.next,
      });
      if (this.#listed === null) return; // another search began meanwhile
      this.#keep(page.jobs);
      this.#listed = withOlder(this.#listed, page);
    } finally {
      this.loadingOlder = false;
    }
  }

  chooseAll(yes: boolean): void {
    for (const { id } of this.jobs) {
      if (yes) this.chosen.add(id);
      else this.chosen.delete(id);
    }
  }

  async #ask(): Promise<true> {
    const limit = Math.min(MOST, Math.max(PAGE, this.#listed?.ids.length ?? 0));
    const search = this.#search;
    const page = await calls.jobs({ ...filterOf(search), limit });
    if (search !== this.#search) return true;
    this.#keep(page.jobs);
    const all = page.next === null || this.#listed === null || this.#listed.ids.length <= limit;
    this.#listed = all || this.#listed === null ? firstPage(page) : withNewer(this.#listed, page);
    return true;
  }

  #keep(jobs: readonly AnyJob[]): void {
    this.#records = new Map([...this.#records, ...jobs.map((job) => [job.id, job] as const)]);
  }
}
