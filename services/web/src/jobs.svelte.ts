// The jobs that the page knows: records as the api has them, and as the stream goes on to tell.

import { SvelteMap, SvelteSet } from "svelte/reactivity";

import { api, type Job, type Standing } from "./api";
import { isEnd, type State } from "./frames";
import type { JobsPage } from "./generated";
import { firstPage, inTurns, withNewer, withOlder, type Listed } from "./list";
import { Live, MOST_FOLLOWED } from "./live.svelte";
import { shownOf, type JobView, type Told } from "./state";

const PAGE = 50;
/** Jobs are listed by when they were made, and appear a moment later. */
const OVERLAP_MS = 10_000;
const ASKED_AT_ONCE = 64;
/** So many rounds may say that a job has moved on before its stream does. */
const PATIENCE = 2;

export class Jobs {
  live = new Live();
  filter: State | null = $state(null);
  loadingOlder = $state(false);
  #listed: Listed | null = $state.raw(null);
  #records = new SvelteMap<string, Job>();
  #standings = new SvelteMap<string, Standing>();
  #inView = new SvelteSet<string>();
  #open: string | null = null;
  #turn = 0;
  #overdue = 0;
  #gone: ((job: Job) => boolean)[] = [];

  /** Null until it was asked for. */
  ids: readonly string[] | null = $derived.by(() => {
    const ids = this.#listed?.ids ?? null;
    if (ids === null || this.filter === null) return ids;
    return ids.filter((id) => this.shown(id).state === this.filter);
  });

  get more(): boolean {
    return this.#listed?.next != null;
  }

  record(id: string): Job | null {
    return this.#records.get(id) ?? null;
  }

  shown(id: string): JobView {
    return shownOf(this.#told(id), this.live.view(id));
  }

  /** From the first start to the end, as far as they are known. */
  times(id: string): { started_at: string | null; finished_at: string | null } {
    const record = this.#records.get(id);
    const standing = this.#standings.get(id);
    return {
      started_at: standing?.started_at ?? record?.started_at ?? null,
      finished_at: standing?.finished_at ?? record?.finished_at ?? null,
    };
  }

  async choose(filter: State | null): Promise<void> {
    this.filter = filter;
    this.#listed = null;
    await this.refresh();
  }

  /** What is new, and how the unfinished ones stand. */
  async refresh(): Promise<void> {
    await this.#askForNewer();
    const standings = await this.#askHowTheyStand();
    this.#follow();
    this.#doubtTheStream(standings);
  }

  async older(): Promise<void> {
    const cursor = this.#listed?.next;
    if (cursor == null || this.loadingOlder) return;
    this.loadingOlder = true;
    try {
      const page = this.#left(await api.jobs({ ...this.#query(), cursor }));
      for (const job of page.jobs) this.keep(job);
      // Another filter may have been chosen meanwhile.
      if (this.#listed?.next === cursor) this.#listed = withOlder(this.#listed, page);
    } finally {
      this.loadingOlder = false;
    }
  }

  /** What was just submitted. */
  add(job: Job): void {
    this.keep(job);
    if (this.#listed !== null) {
      this.#listed = withNewer(this.#listed, { jobs: [job], next: null });
    }
  }

  /** Answers may overtake each other, but an end is the end. */
  keep(job: Job): void {
    const known = this.#records.get(job.id);
    if (known !== undefined && isEnd(known.state) && !isEnd(job.state)) return;
    this.#records.set(job.id, job);
    if (isEnd(job.state)) this.#standings.delete(job.id);
  }

  /** Those that are deleted, or will be once they have stopped: shown no more. */
  drop(gone: (job: Job) => boolean): void {
    this.#gone.push(gone);
    for (const [id, job] of this.#records) {
      if (!gone(job)) continue;
      this.#records.delete(id);
      this.#standings.delete(id);
      this.#inView.delete(id);
      if (this.#listed === null) continue;
      const { ids, next } = this.#listed;
      this.#listed = { ids: ids.filter((each) => each !== id), next };
    }
    this.#follow();
  }

  /** The one that is read. */
  open(id: string | null): void {
    this.#open = id;
    this.#follow();
  }

  async load(id: string): Promise<void> {
    this.keep(await api.job(id));
    this.live.follow(id);
  }

  /** Once its stream has ended the record has the times and the result. */
  async settle(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record === undefined || !isEnd(record.state)) await this.load(id);
  }

  /** Rows that came into view or left it. */
  look(inView: readonly string[], gone: readonly string[]): void {
    for (const id of inView) this.#inView.add(id);
    for (const id of gone) this.#inView.delete(id);
    this.#follow();
  }

  #told(id: string): Told | null {
    const record = this.#records.get(id);
    if (record === undefined) return null;
    const { state, attempt, progress, queue_position } = this.#standings.get(id) ?? {
      ...record,
      queue_position: null,
    };
    const { result: output, error } = record;
    return { state, attempt, progress, output, error, ahead: queue_position };
  }

  #ended(id: string): boolean {
    const told = this.#told(id);
    return told !== null && isEnd(told.state);
  }

  async #askForNewer(): Promise<void> {
    const newest = this.#listed?.ids.map((id) => this.#records.get(id)?.created_at).find(Boolean);
    const created_after =
      newest == null ? undefined : new Date(Date.parse(newest) - OVERLAP_MS).toISOString();
    const filter = this.filter;
    const page = this.#left(await api.jobs({ ...this.#query(), created_after }));
    for (const job of page.jobs) this.keep(job);
    if (filter !== this.filter) return;
    this.#listed = this.#listed === null ? firstPage(page) : withNewer(this.#listed, page);
  }

  #left({ jobs, next }: JobsPage): JobsPage {
    return { jobs: jobs.filter((job) => !this.#gone.some((gone) => gone(job))), next };
  }

  #query() {
    return { limit: PAGE, state: this.filter };
  }

  async #askHowTheyStand(): Promise<Standing[]> {
    const unfinished = (this.#listed?.ids ?? []).filter((id) => !this.#ended(id));
    const seen = unfinished.filter((id) => this.#inView.has(id));
    const others = unfinished.filter((id) => !this.#inView.has(id));
    const { chosen, from } = inTurns(seen, others, ASKED_AT_ONCE, this.#turn);
    this.#turn = from;
    if (chosen.length === 0) return [];
    const standings = await api.standings(chosen);
    for (const each of standings) if (!this.#ended(each.id)) this.#standings.set(each.id, each);
    return standings;
  }

  #follow(): void {
    const rows = [...this.#inView].filter((id) => !this.#ended(id)).slice(0, MOST_FOLLOWED - 1);
    this.live.forgetAllBut(new Set(this.#open === null ? rows : [...rows, this.#open]));
    for (const id of rows) this.live.follow(id);
  }

  /** A connection can be dead without a word of it; a job that moved on unheard tells. */
  #doubtTheStream(standings: readonly Standing[]): void {
    const unheard = standings.some(({ id, state, attempt }) => {
      const seen = this.live.view(id);
      return seen !== undefined && !isEnd(seen.state) && (isEnd(state) || attempt > seen.attempt);
    });
    this.#overdue = unheard ? this.#overdue + 1 : 0;
    if (this.#overdue > PATIENCE) {
      this.#overdue = 0;
      this.live.reconnect();
    }
  }
}
