// What the page knows and does: the catalog, the jobs, the open one, the network and the key.

import { SvelteMap, SvelteSet } from "svelte/reactivity";

import { Problem, api, key, type Deletion, type Draft, type Job, type Model } from "./api";
import { now } from "./clock";
import { goesWith } from "./deleting";
import { Jobs } from "./jobs.svelte";
import { pathOf, placeOf, type Place } from "./places";

const REFRESH_MS = 3000;
const TICK_MS = 1000;
/** A clock that jumped this far: the machine slept, and its connections with it. */
const SLEPT_MS = 15_000;

export class Board {
  jobs = new Jobs();
  models: Model[] | null = $state.raw(null);
  /** Why the server could not be asked, last time; null when it could. */
  trouble: Problem | null = $state.raw(null);
  needsKey = $state(false);
  place: Place = $state.raw({ at: "new" });
  missing: Problem | null = $state.raw(null);
  draft: Draft | null = $state.raw(null);
  online = $state(navigator.onLine);
  now = $state(now());
  #cancelling = new SvelteSet<string>();
  /** Of what was deleted here, by its id: shown in its place. */
  receipts = new SvelteMap<string, Deletion>();
  #refreshing = false;

  get openId(): string | null {
    return this.place.at === "job" ? this.place.id : null;
  }

  get openJob(): Job | null {
    return this.openId === null ? null : this.jobs.record(this.openId);
  }

  cancelAsked(id: string): boolean {
    return this.#cancelling.has(id);
  }

  /** Runs until the returned function is called. */
  start(): () => void {
    const leaving = new AbortController();
    const { signal } = leaving;
    const tick = setInterval(() => this.#tick(), TICK_MS);
    const refresh = setInterval(() => document.hidden || void this.refresh(), REFRESH_MS);
    const look = () => document.hidden || void this.refresh();
    document.addEventListener("visibilitychange", look, { signal });
    addEventListener("popstate", () => this.#goTo(placeOf(location.pathname)), { signal });
    addEventListener("online", () => this.#cameOnline(), { signal });
    addEventListener("offline", () => this.#wentOffline(), { signal });
    this.#goTo(placeOf(location.pathname));
    void this.refresh();
    return () => {
      clearInterval(tick);
      clearInterval(refresh);
      leaving.abort();
    };
  }

  async refresh(): Promise<void> {
    if (this.#refreshing || !this.online) return;
    this.#refreshing = true;
    try {
      await Promise.all([this.jobs.refresh(), this.#learnModels()]);
      this.trouble = null;
      // One that could not be had when it was opened.
      if (this.openJob === null && this.missing === null) await this.#loadOpen();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#refreshing = false;
    }
  }

  /** At once, without waiting any longer. */
  tryAgain(): void {
    this.jobs.live.reconnect();
    void this.refresh();
  }

  async submit(draft: Draft, once: string): Promise<void> {
    const job = await this.#guarded(api.submit(draft, once));
    this.jobs.add(job);
    this.go({ at: "job", id: job.id });
  }

  upload(file: Blob): Promise<string> {
    return this.#guarded(api.upload(file));
  }

  async cancel(id: string): Promise<void> {
    this.#cancelling.add(id);
    try {
      this.jobs.keep(await this.#guarded(api.cancel(id)));
    } catch (error) {
      this.#cancelling.delete(id);
      this.#failed(error);
    }
  }

  /** As a new job, which is opened. */
  async retry(id: string, once: string): Promise<void> {
    try {
      const job = await this.#guarded(api.retry(id, once));
      this.jobs.add(job);
      this.go({ at: "job", id: job.id });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** It was deleted: its receipt is what is left to show. */
  gone(id: string, receipt: Deletion): void {
    this.receipts.set(id, receipt);
    this.jobs.drop((job) => goesWith(id, job));
  }

  /** Fill the form, and show it. */
  startFrom(draft: Draft): void {
    this.draft = draft;
    this.go({ at: "new" });
  }

  async older(): Promise<void> {
    await this.jobs.older().catch((error: unknown) => this.#failed(error));
  }

  async filter(state: Jobs["filter"]): Promise<void> {
    await this.jobs.choose(state).catch((error: unknown) => this.#failed(error));
  }

  go(place: Place): void {
    const path = pathOf(place);
    if (location.pathname !== path) history.pushState(null, "", path);
    this.#goTo(place);
  }

  async settle(id: string): Promise<void> {
    await this.jobs.settle(id).catch((error: unknown) => this.#failed(error));
  }

  /** True where the server takes it. */
  async useKey(value: string): Promise<boolean> {
    key.set(value);
    try {
      this.models = await api.models();
    } catch (error) {
      key.forget();
      if (error instanceof Problem && error.status === 401) return false;
      throw error;
    }
    this.needsKey = false;
    this.#goTo(this.place);
    this.tryAgain();
    return true;
  }

  forgetKey(): void {
    key.forget();
    location.assign("/"); // nothing that was shown with it may stay
  }

  #goTo(place: Place): void {
    this.place = place;
    this.missing = null;
    this.jobs.open(this.openId);
    void this.#loadOpen();
  }

  async #loadOpen(): Promise<void> {
    const id = this.openId;
    if (id === null || this.receipts.has(id)) return;
    try {
      await this.jobs.load(id);
    } catch (error) {
      if (error instanceof Problem && error.status === 404) {
        if (this.openId === id) this.missing = error;
      } else this.#failed(error);
    }
  }

  #tick(): void {
    const before = this.now;
    this.now = now();
    if (this.now - before > SLEPT_MS && !document.hidden) this.tryAgain();
  }

  #cameOnline(): void {
    this.online = true;
    this.tryAgain();
  }

  #wentOffline(): void {
    this.online = false;
    this.jobs.live.suspend();
  }

  /** Until there are some: engines announce themselves when they are ready. */
  async #learnModels(): Promise<void> {
    if (!this.models?.length) this.models = await api.models();
  }

  async #guarded<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.needsKey = true;
      throw error;
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) this.needsKey = true;
    else this.trouble = error;
  }
}
