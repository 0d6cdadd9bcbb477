// Generated from the api's OpenAPI description by `make docs`; do not edit.
// `Calls` has one entry an operation, the rest are the schemas that they and the frames use.

export interface Calls {
  "POST /jobs": {
    path: undefined;
    query: undefined;
    body: JobRequest;
    answer: JobView;
  };
  "GET /jobs": {
    path: undefined;
    query: { state?: State | null; kind?: string | null; model?: string | null; label?: string | null; created_after?: string | null; created_before?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: JobsPage;
  };
  "POST /jobs/inference": {
    path: undefined;
    query: undefined;
    body: InferenceRequest;
    answer: JobView;
  };
  "POST /jobs/training": {
    path: undefined;
    query: undefined;
    body: TrainingRequest;
    answer: JobView;
  };
  "GET /jobs/statuses": {
    path: undefined;
    query: { id: string[] };
    body: undefined;
    answer: OneStatusView[];
  };
  "GET /jobs/{job}": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "DELETE /jobs/{job}": {
    path: { job: string };
    query: { cancel?: boolean };
    body: undefined;
    answer: DeletionView;
  };
  "GET /jobs/{job}/status": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: StatusView;
  };
  "GET /jobs/{job}/result": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: ResultView | StatusView;
  };
  "GET /jobs/{job}/timeline": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: TimelineView;
  };
  "GET /jobs/{job}/explain": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: ExplainView;
  };
  "GET /jobs/{job}/logs": {
    path: { job: string };
    query: { limit?: number };
    body: undefined;
    answer: JobLogView;
  };
  "POST /jobs/{job}/cancel": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "POST /jobs/{job}/retry": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: JobView;
  };
  "DELETE /runs/{run}": {
    path: { run: string };
    query: { cancel?: boolean };
    body: undefined;
    answer: DeletionView;
  };
  "GET /runs/{run}": {
    path: { run: string };
    query: undefined;
    body: undefined;
    answer: RunView;
  };
  "DELETE /batches/{batch}": {
    path: { batch: string };
    query: { cancel?: boolean };
    body: undefined;
    answer: DeletionView;
  };
  "GET /batches/{batch}": {
    path: { batch: string };
    query: undefined;
    body: undefined;
    answer: BatchView;
  };
  "POST /jobs/delete": {
    path: undefined;
    query: undefined;
    body: DeletionRequest;
    answer: DeletionView;
  };
  "GET /deletions/{deletion}": {
    path: { deletion: string };
    query: undefined;
    body: undefined;
    answer: DeletionView;
  };
  "DELETE /admin/tenants/{tenant}/data": {
    path: { tenant: string };
    query: undefined;
    body: undefined;
    answer: DeletionView;
  };
  "GET /admin/deletions/{deletion}": {
    path: { deletion: string };
    query: undefined;
    body: undefined;
    answer: DeletionView;
  };
  "GET /jobs/{job}/events": {
    path: { job: string };
    query: { after?: string | null; ticket?: string | null };
    body: undefined;
    answer: Blob;
  };
  "POST /tickets": {
    path: undefined;
    query: { job?: string | null; run?: string | null };
    body: undefined;
    answer: TicketView;
  };
  "POST /blobs": {
    path: undefined;
    query: undefined;
    body: Blob;
    answer: BlobView;
  };
  "GET /blobs/{blob}": {
    path: { blob: string };
    query: undefined;
    body: undefined;
    answer: Blob;
  };
  "GET /blobs/{blob}/link": {
    path: { blob: string };
    query: { within?: number };
    body: undefined;
    answer: BlobLinkView;
  };
  "GET /pipelines": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: PipelineView[];
  };
  "POST /runs": {
    path: undefined;
    query: undefined;
    body: RunRequest;
    answer: RunView;
  };
  "GET /runs": {
    path: undefined;
    query: { limit?: number; cursor?: string | null };
    body: undefined;
    answer: RunsPage;
  };
  "POST /runs/{run}/cancel": {
    path: { run: string };
    query: undefined;
    body: undefined;
    answer: RunView;
  };
  "POST /runs/{run}/stages/{stage}/retry": {
    path: { stage: string; run: string };
    query: undefined;
    body: undefined;
    answer: RunView;
  };
  "POST /runs/{run}/refinements": {
    path: { run: string };
    query: undefined;
    body: AdditionRequest;
    answer: RunView;
  };
  "POST /runs/{run}/captions": {
    path: { run: string };
    query: undefined;
    body: AdditionRequest;
    answer: RunView;
  };
  "GET /runs/{run}/events": {
    path: { run: string };
    query: { after?: string | null; ticket?: string | null };
    body: undefined;
    answer: Blob;
  };
  "POST /batches": {
    path: undefined;
    query: { kind?: string | null; model?: string | null; priority?: number; timeout?: number; label?: string[] };
    body: BatchRequest;
    answer: BatchView;
  };
  "GET /batches": {
    path: undefined;
    query: { limit?: number; cursor?: string | null };
    body: undefined;
    answer: BatchesPage;
  };
  "POST /batches/{batch}/cancel": {
    path: { batch: string };
    query: undefined;
    body: undefined;
    answer: BatchView;
  };
  "GET /batches/{batch}/results": {
    path: { batch: string };
    query: { after?: number; errors?: boolean; follow?: boolean; limit?: number | null; ticket?: string | null };
    body: undefined;
    answer: Blob;
  };
  "GET /batches/{batch}/events": {
    path: { batch: string };
    query: { ticket?: string | null };
    body: undefined;
    answer: Blob;
  };
  "GET /admin/dead-letters/groups": {
    path: undefined;
    query: { limit?: number };
    body: undefined;
    answer: GroupsView;
  };
  "GET /admin/dead-letters": {
    path: undefined;
    query: { fingerprint?: string | null; source?: Source | null; queue?: string | null; tenant?: string | null; settled?: boolean; limit?: number; before?: number | null };
    body: undefined;
    answer: LettersPage;
  };
  "GET /admin/dead-letters/{number}": {
    path: { number: number };
    query: undefined;
    body: undefined;
    answer: LetterDetail;
  };
  "POST /admin/dead-letters/{number}/replay": {
    path: { number: number };
    query: undefined;
    body: ReplayOneRequest;
    answer: LetterView | RehearsalView;
  };
  "POST /admin/dead-letters/{number}/discard": {
    path: { number: number };
    query: undefined;
    body: undefined;
    answer: LetterView;
  };
  "POST /admin/dead-letters/replay": {
    path: undefined;
    query: undefined;
    body: ReplayRequest;
    answer: SettledView | RehearsedView;
  };
  "POST /admin/dead-letters/discard": {
    path: undefined;
    query: undefined;
    body: DiscardRequest;
    answer: SettledView;
  };
  "GET /admin/audit": {
    path: undefined;
    query: { limit?: number; before?: number | null };
    body: undefined;
    answer: AuditPage;
  };
  "GET /admin/lanes": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: LanesView;
  };
  "POST /admin/lanes/{lane}/pause": {
    path: { lane: string };
    query: undefined;
    body: undefined;
    answer: LaneView;
  };
  "POST /admin/lanes/{lane}/resume": {
    path: { lane: string };
    query: undefined;
    body: undefined;
    answer: LaneView;
  };
  "GET /admin/tenants": {
    path: undefined;
    query: { limit?: number; after?: string };
    body: undefined;
    answer: TenantsPage;
  };
  "GET /admin/tenants/{tenant}": {
    path: { tenant: string };
    query: undefined;
    body: undefined;
    answer: TermsView;
  };
  "PUT /admin/tenants/{tenant}": {
    path: { tenant: string };
    query: undefined;
    body: TermsRequest;
    answer: TermsView;
  };
  "GET /admin/whoami": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: WhoAmIView;
  };
  "GET /admin/keys": {
    path: undefined;
    query: { tenant?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: KeysPage;
  };
  "POST /admin/keys": {
    path: undefined;
    query: undefined;
    body: KeyRequest;
    answer: NewKeyView;
  };
  "POST /admin/keys/{key}/revoke": {
    path: { key: string };
    query: undefined;
    body: undefined;
    answer: KeyView;
  };
  "GET /admin/users": {
    path: undefined;
    query: { limit?: number; after?: number };
    body: undefined;
    answer: UsersPage;
  };
  "POST /admin/users": {
    path: undefined;
    query: undefined;
    body: UserRequest;
    answer: NewUserView;
  };
  "GET /admin/users/{user}": {
    path: { user: number };
    query: undefined;
    body: undefined;
    answer: AccountView;
  };
  "PATCH /admin/users/{user}": {
    path: { user: number };
    query: undefined;
    body: UserPatch;
    answer: UserAdminView;
  };
  "POST /admin/users/{user}/grant": {
    path: { user: number };
    query: undefined;
    body: GrantRequest;
    answer: UserAdminView;
  };
  "GET /admin/ledger": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: LedgerView;
  };
  "GET /admin/overview": {
    path: undefined;
    query: { window_s?: Window };
    body: undefined;
    answer: OverviewView;
  };
  "GET /admin/workers": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: WorkersView;
  };
  "POST /admin/workers/{worker}/drain": {
    path: { worker: string };
    query: undefined;
    body: undefined;
    answer: WorkerView;
  };
  "POST /admin/workers/{worker}/resume": {
    path: { worker: string };
    query: undefined;
    body: undefined;
    answer: WorkerView;
  };
  "GET /admin/jobs": {
    path: undefined;
    query: { id?: string | null; tenant?: string | null; state?: State | null; kind?: string | null; model?: string | null; path?: string | null; lane?: string | null; label?: string | null; error?: string | null; worker?: string | null; created_after?: string | null; created_before?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: AnybodysJobsPage;
  };
  "GET /admin/jobs/{job}": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: AnybodysJobView;
  };
  "GET /admin/jobs/{job}/timeline": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: TimelineView;
  };
  "GET /admin/jobs/{job}/explain": {
    path: { job: string };
    query: undefined;
    body: undefined;
    answer: ExplainView;
  };
  "POST /admin/jobs/cancel": {
    path: undefined;
    query: undefined;
    body: ManyRequest;
    answer: ManyView;
  };
  "POST /admin/jobs/retry": {
    path: undefined;
    query: undefined;
    body: ManyRequest;
    answer: ManyView;
  };
  "POST /admin/jobs/{job}/move": {
    path: { job: string };
    query: undefined;
    body: MoveRequest;
    answer: MovedView;
  };
  "GET /admin/batches": {
    path: undefined;
    query: { tenant?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: AnybodysBatchesPage;
  };
  "GET /admin/schedules": {
    path: undefined;
    query: { tenant?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: AnybodysSchedulesPage;
  };
  "POST /admin/schedules": {
    path: undefined;
    query: undefined;
    body: AnybodysScheduleRequest;
    answer: AnybodysScheduleView;
  };
  "GET /admin/schedules/{schedule}": {
    path: { schedule: string };
    query: undefined;
    body: undefined;
    answer: AnybodysScheduleDetail;
  };
  "DELETE /admin/schedules/{schedule}": {
    path: { schedule: string };
    query: undefined;
    body: undefined;
    answer: undefined;
  };
  "POST /admin/schedules/{schedule}/pause": {
    path: { schedule: string };
    query: undefined;
    body: undefined;
    answer: AnybodysScheduleView;
  };
  "POST /admin/schedules/{schedule}/resume": {
    path: { schedule: string };
    query: undefined;
    body: undefined;
    answer: AnybodysScheduleView;
  };
  "POST /admin/schedules/{schedule}/run-now": {
    path: { schedule: string };
    query: undefined;
    body: undefined;
    answer: JobView | RunView;
  };
  "GET /admin/rollout": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: RolloutView;
  };
  "PUT /admin/rollout": {
    path: undefined;
    query: undefined;
    body: RolloutRequest;
    answer: RolloutView;
  };
  "POST /admin/rollout/rollback": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: RolloutView;
  };
  "GET /webhooks": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: EndpointsPage;
  };
  "POST /webhooks": {
    path: undefined;
    query: undefined;
    body: EndpointRequest;
    answer: NewEndpointView;
  };
  "GET /webhooks/deliveries": {
    path: undefined;
    query: { state?: CallState | null; webhook?: string | null; job?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: DeliveriesPage;
  };
  "GET /webhooks/deliveries/{delivery}": {
    path: { delivery: string };
    query: undefined;
    body: undefined;
    answer: DeliveryDetail;
  };
  "POST /webhooks/deliveries/{delivery}/redeliver": {
    path: { delivery: string };
    query: undefined;
    body: undefined;
    answer: DeliveryView;
  };
  "GET /webhooks/{webhook}": {
    path: { webhook: string };
    query: undefined;
    body: undefined;
    answer: EndpointView;
  };
  "PATCH /webhooks/{webhook}": {
    path: { webhook: string };
    query: undefined;
    body: EndpointChange;
    answer: EndpointView;
  };
  "DELETE /webhooks/{webhook}": {
    path: { webhook: string };
    query: undefined;
    body: undefined;
    answer: undefined;
  };
  "GET /webhooks/{webhook}/secret": {
    path: { webhook: string };
    query: undefined;
    body: undefined;
    answer: SecretView;
  };
  "POST /webhooks/{webhook}/secret/rotate": {
    path: { webhook: string };
    query: undefined;
    body: undefined;
    answer: SecretView;
  };
  "GET /admin/webhooks": {
    path: undefined;
    query: { tenant?: string | null; limit?: number; cursor?: string | null };
    body: undefined;
    answer: AnybodysEndpointsPage;
  };
  "GET /admin/webhooks/deliveries": {
    path: undefined;
    query: { state?: CallState | null; webhook?: string | null; job?: string | null; limit?: number; cursor?: string | null; tenant?: string | null };
    body: undefined;
    answer: AnybodysDeliveriesPage;
  };
  "GET /admin/webhooks/deliveries/{delivery}": {
    path: { delivery: string };
    query: undefined;
    body: undefined;
    answer: AnybodysDeliveryDetail;
  };
  "POST /admin/webhooks/deliveries/{delivery}/redeliver": {
    path: { delivery: string };
    query: undefined;
    body: undefined;
    answer: AnybodysDeliveryView;
  };
  "GET /models": {
    path: undefined;
    query: undefined;
    body: undefined;
    answer: ModelView[];
  };
  "GET /models/registered": {
    path: undefined;
    query: { limit?: number; after?: string };
    body: undefined;
    answer: RegisteredPage;
  };
  "GET /models/{name}": {
    path: { name: string };
    query: undefined;
    body: undefined;
    answer: RegisteredModelView;
  };
  "POST /models/{name}/versions": {
    path: { name: string };
    query: undefined;
    body: VersionRequest;
    answer: VersionView;
  };
  "GET /models/{name}/versions": {
    path: { name: string };
    query: { limit?: number; below?: number | null };
    body: undefined;
    answer: VersionsPage;
  };
  "GET /models/{name}/versions/{version}": {
    path: { name: string; version: number };
    query: undefined;
    body: undefined;
    answer: VersionView;
  };
  "DELETE /models/{name}/versions/{version}": {
    path: { name: string; version: number };
    query: undefined;
    body: undefined;
    answer: undefined;
  };
  "POST /models/{name}/route": {
    path: { name: string };
    query: undefined;
    body: ModelRouteRequest;
    answer: RegisteredModelView;
  };
  "POST /models/{name}/promote": {
    path: { name: string };
    query: undefined;
    body: PromoteRequest;
    answer: RegisteredModelView;
  };
  "POST /models/{name}/rollback": {
    path: { name: string };
    query: undefined;
    body: undefined;
    answer: RegisteredModelView;
  };
  "GET /models/{name}/routes": {
    path: { name: string };
    query: { limit?: number; below?: number | null };
    body: undefined;
    answer: ModelRoutesPage;
  };
  "GET /models/{name}/performance": {
    path: { name: string };
    query: { version?: number[]; within_s?: number; metric?: string | null };
    body: undefined;
    answer: ModelPerformanceView;
  };
  "POST /jobs/{job}/feedback": {
    path: { job: string };
    query: undefined;
    body: FeedbackRequest;
    answer: undefined;
  };
  "GET /admin/models": {
    path: undefined;
    query: { limit?: number; after?: string };
    body: undefined;
    answer: RegisteredPage;
  };
  "GET /admin/models/{tenant}/{name}": {
    path: { tenant: string; name: string };
    query: undefined;
    body: undefined;
    answer: RegisteredModelView;
  };
  "PUT /admin/models/{tenant}/{name}": {
    path: { tenant: string; name: string };
    query: undefined;
    body: SharedRequest;
    answer: RegisteredModelView;
  };
  "GET /admin/models/{tenant}/{name}/versions": {
    path: { tenant: string; name: string };
    query: { limit?: number; below?: number | null };
    body: undefined;
    answer: VersionsPage;
  };
  "GET /admin/models/{tenant}/{name}/performance": {
    path: { tenant: string; name: string };
    query: { version?: number[]; within_s?: number; metric?: string | null };
    body: undefined;
    answer: ModelPerformanceView;
  };
}

export interface AccountView {
  id: number;
  username: string;
  tenant: string;
  concurrency: number;
  trusted: boolean;
  moderator: boolean;
  /** The sum of its postings. */
  kudos: number;
  /** Of these, for jobs that have not ended. */
  held: number;
  /** null: debts have no limit. */
  floor: number | null;
  created_at: string | null;
  /** The latest first. */
  postings: PostingView[];
}

/** All of it may be left out: then the last picture is worked on, by the usual model. */
export interface AdditionRequest {
  /** Whose picture; the last one's if left out. */
  stage?: string | null;
  model?: string | null;
  /** What the engine takes beside the picture. */
  input?: Record<string, unknown>;
}

export interface AnybodysBatchView {
  id: string;
  kind: string;
  model: string | null;
  state: BatchState;
  total: number;
  counts: BatchCounts;
  /** 0 to 1: how much of it has ended. */
  progress: number;
  /** Why no more of it begins now. */
  held_up: string | null;
  /** If it goes on as it went of late; null: nobody can say. */
  seconds_left: number | null;
  priority: number;
  timeout: number;
  labels: Record<string, string>;
  created_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: BatchLinks;
  tenant: string;
}

export interface AnybodysBatchesPage {
  batches: AnybodysBatchView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface AnybodysDeliveriesPage {
  deliveries: AnybodysDeliveryView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface AnybodysDeliveryDetail {
  id: string;
  /** The `webhook-id` that its receiver sees. */
  message: string;
  /** The endpoint; null: the job itself named the address. */
  webhook: string | null;
  url: string;
  job: string;
  type: string;
  state: CallState;
  tries: number;
  /** When it is tried, or counts as lost if it is now. */
  next_at: string | null;
  created_at: string;
  settled_at: string | null;
  /** The latest tries, oldest first. */
  log: TryView[];
  tenant: string;
  /** What its receiver reads: a `WebhookEvent`, as it was written when it happened. */
  body: Record<string, unknown>;
}

export interface AnybodysDeliveryView {
  id: string;
  /** The `webhook-id` that its receiver sees. */
  message: string;
  /** The endpoint; null: the job itself named the address. */
  webhook: string | null;
  url: string;
  job: string;
  type: string;
  state: CallState;
  tries: number;
  /** When it is tried, or counts as lost if it is now. */
  next_at: string | null;
  created_at: string;
  settled_at: string | null;
  /** The latest tries, oldest first. */
  log: TryView[];
  tenant: string;
}

export interface AnybodysEndpointView {
  id: string;
  url: string;
  events: string[];
  note: string;
  /** No call has arrived since. */
  failing_since: string | null;
  /** Set: it is not called any more. */
  disabled_at: string | null;
  disabled_why: string | null;
  created_at: string | null;
  tenant: string;
}

export interface AnybodysEndpointsPage {
  webhooks: AnybodysEndpointView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface AnybodysJobView {
  id: string;
  kind: string;
  model: string;
  state: State;
  /** How many times it was given to a worker. */
  attempt: number;
  /** The job that somebody retried by hand. */
  retry_of: string | null;
  /** How far, 0 to 1, as last reported. */
  progress: number | null;
  /** What a next attempt goes on from; null where that begins at the beginning. */
  checkpoint: CheckpointView | null;
  priority: number;
  labels: Record<string, string>;
  /** The registered model it makes a version of. */
  register_as: string | null;
  input: Record<string, unknown>;
  /** What the engine made; null until it succeeded. */
  result: JsonValue;
  error: ErrorView | null;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: Links;
  tenant: string;
  path: string;
  lane: string;
  /** Who runs it now. */
  worker: string | null;
}

export interface AnybodysJobsPage {
  jobs: AnybodysJobView[];
  /** The `cursor` to go on with; null: that was all. One request looks at 20,000 jobs at most, so a page may be empty and not be the last. */
  next: string | null;
}

export interface AnybodysScheduleDetail {
  id: string;
  cron: string;
  /** The expression in English. */
  in_words: string | null;
  timezone: string;
  job: Record<string, unknown> | null;
  run: Record<string, unknown> | null;
  /** Null: it will never fire again. */
  next_at: string | null;
  last_at: string | null;
  /** Why its last firing made nothing. */
  last_error: string | null;
  paused_at: string | null;
  created_at: string | null;
  /** The latest, newest first. */
  fires: FireView[];
  tenant: string;
}

export interface AnybodysScheduleRequest {
  /** Minute, hour, day of month, month, day of week. */
  cron: string;
  /** IANA name. */
  timezone?: string;
  job?: ScheduledJob | null;
  run?: ScheduledRun | null;
  /** Whose it is to be. */
  tenant: string;
}

export interface AnybodysScheduleView {
  id: string;
  cron: string;
  /** The expression in English. */
  in_words: string | null;
  timezone: string;
  job: Record<string, unknown> | null;
  run: Record<string, unknown> | null;
  /** Null: it will never fire again. */
  next_at: string | null;
  last_at: string | null;
  /** Why its last firing made nothing. */
  last_error: string | null;
  paused_at: string | null;
  created_at: string | null;
  tenant: string;
}

export interface AnybodysSchedulesPage {
  schedules: AnybodysScheduleView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

/** A new attempt begins or will begin: forget what earlier epochs showed. */
export interface Attempt {
  type: "attempt";
  attempt: number;
  reason?: string | null;
  retry_in_s?: number | null;
}

export interface AttemptView {
  attempt: number;
  epoch: number;
  worker: string;
  /** Of a job that several workers run, all of them, the first one first; else none. */
  members: string[];
  /** From when it could have run to when it did. */
  waited_s: number | null;
  started_at: string;
  ended_at: string | null;
  outcome: string | null;
  error: ErrorView | null;
  stages: StagesView | null;
  /** Of the checkpoint that it went on from; null: it began at the beginning. */
  resumed_step: number | null;
}

export interface AuditPage {
  audit: DeedView[];
  next: number | null;
}

/** All of them together are the total. */
export interface BatchCounts {
  /** Also those that are no jobs yet. */
  waiting: number;
  running: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** They used up their attempts. */
  dead: number;
  /** No job could be made of them. */
  rejected: number;
}

export interface BatchLinks {
  self: string;
  results: string;
  errors: string;
  events: string;
  cancel: string;
}

/** Either `items`, or the `blob` that they were uploaded as: a JSON object a line. An item may say another model or priority, and more labels. */
export interface BatchRequest {
  kind: string;
  /** The kind's default when left out. */
  model?: string | null;
  /** Higher first, within one tenant. */
  priority?: number;
  /** Seconds one attempt may run. */
  timeout?: number;
  labels?: Record<string, unknown>;
  /** Each an object with `input` and, if wanted, `custom_id`, `model`, `priority` and `labels`. One that is wrong is rejected alone, when its turn comes. */
  items?: unknown[] | null;
  /** Of `POST /blobs`. */
  blob?: string | null;
}

/** A line of the results: an item that has ended. */
export interface BatchResult {
  /** Which line of the batch it is, from 0. */
  item: number;
  custom_id: string | null;
  state: ItemState;
  /** Null: none could be made of it. */
  job: string | null;
  model: string | null;
  result: Record<string, unknown> | null;
  error: ErrorView | null;
  ended_at: string;
  /** Of this line: `?after=` it come those that ended later. */
  cursor: number;
}

export type BatchState = "running" | "cancelling" | "ended" | "cancelled";

export interface BatchView {
  id: string;
  kind: string;
  model: string | null;
  state: BatchState;
  total: number;
  counts: BatchCounts;
  /** 0 to 1: how much of it has ended. */
  progress: number;
  /** Why no more of it begins now. */
  held_up: string | null;
  /** If it goes on as it went of late; null: nobody can say. */
  seconds_left: number | null;
  priority: number;
  timeout: number;
  labels: Record<string, string>;
  created_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: BatchLinks;
}

export interface BatchesPage {
  batches: BatchView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface BeforeView {
  job: string;
  since: string;
}

/** A blob, and where it is for a while without a key. */
export interface BlobLinkView {
  blob: string;
  media_type: string;
  size: number;
  /** In hex; null: it was put by a build that kept none. */
  sha256: string | null;
  /** Signed: whoever has it can read the blob until it is over. */
  url: string;
  expires_in_s: number;
}

export interface BlobName {
  /** As `POST /blobs` answered. */
  blob: string;
}

export interface BlobView {
  blob: string;
  media_type: string;
  size: number;
  /** In hex. */
  sha256: string;
}

export interface BucketView {
  succeeded: number;
  failed: number;
  cancelled: number;
  dead: number;
  /** When it began; the last one is not over yet. */
  at: string;
  accepted: number;
  wait_p50_s: number | null;
}

export type CallState = "waiting" | "delivered" | "given_up";

export interface CancelAfter {
  /** Seconds without any watcher. */
  cancel_after: number;
}

export interface Cancelled {
  type: "cancelled";
}

export interface Cancelling {
  type: "cancelling";
}

/** What its attempts have left behind: the next one goes on from there. */
export interface CheckpointView {
  step: number;
  at: string;
}

export interface ComparisonView {
  /** The version that the other is compared with. */
  base: number;
  version: number;
  verdicts: VerdictView[];
}

export interface Dead {
  type: "dead";
  error: Record<string, unknown>;
}

/** A job that died: what was asked for, and what became of it each time. */
export interface DeadJobView {
  kind: string;
  model: string;
  input: Record<string, unknown>;
  /** JSON Schema of what its engine takes. Null: nobody runs this model any more. */
  input_schema: Record<string, unknown> | null;
  trace_id: string | null;
  attempts: AttemptView[];
}

export interface DeedView {
  number: number;
  at: string;
  who: string;
  action: string;
  subject: string;
  detail: Record<string, unknown>;
}

/** Which jobs, of those that are there now: all that is said holds for each. */
export interface DeletionRequest {
  labels?: Record<string, unknown>;
  /** Those that ended before this time. */
  ended_before?: string | null;
  /** Also those that have not ended: they are cancelled first. */
  cancel?: boolean;
}

/** The receipt: it names what was removed, and says nothing of what was in it. */
export interface DeletionView {
  id: string;
  tenant: string;
  /** `job ID`, `run ID`, `batch ID`, `jobs` or `tenant`. */
  subject: string;
  state: "removing" | "done";
  /** How many of what: jobs, runs, attempts, streams, blobs, deliveries, ... */
  removed: Record<string, number>;
  /** Pieces that are known and still there. */
  left: number;
  /** The id of the key, or who the operator is. */
  asked_by: string;
  asked_at: string | null;
  finished_at: string | null;
}

export interface DeliveriesPage {
  deliveries: DeliveryView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface DeliveryDetail {
  id: string;
  /** The `webhook-id` that its receiver sees. */
  message: string;
  /** The endpoint; null: the job itself named the address. */
  webhook: string | null;
  url: string;
  job: string;
  type: string;
  state: CallState;
  tries: number;
  /** When it is tried, or counts as lost if it is now. */
  next_at: string | null;
  created_at: string;
  settled_at: string | null;
  /** The latest tries, oldest first. */
  log: TryView[];
  /** What its receiver reads: a `WebhookEvent`, as it was written when it happened. */
  body: Record<string, unknown>;
}

export interface DeliveryView {
  id: string;
  /** The `webhook-id` that its receiver sees. */
  message: string;
  /** The endpoint; null: the job itself named the address. */
  webhook: string | null;
  url: string;
  job: string;
  type: string;
  state: CallState;
  tries: number;
  /** When it is tried, or counts as lost if it is now. */
  next_at: string | null;
  created_at: string;
  settled_at: string | null;
  /** The latest tries, oldest first. */
  log: TryView[];
}

/** All that the filter finds. Without any filter, `all` must be true. */
export interface DiscardRequest {
  fingerprint?: string | null;
  source?: Source | null;
  queue?: string | null;
  tenant?: string | null;
  all?: boolean;
}

/** A worker that can run the job. */
export interface EligibleView {
  worker: string;
  slots: number;
  /** That have its model loaded. */
  warm_slots: number;
  seen_at: string;
}

export interface EndedView {
  succeeded: number;
  failed: number;
  cancelled: number;
  dead: number;
}

/** What is left out stays. */
export interface EndpointChange {
  url?: string | null;
  /** None: `job.succeeded`, `job.failed`, `job.cancelled` and `job.dead`. A batch's end is told to those alone that name `batch.ended`. */
  events?: EventType[] | null;
  note?: string | null;
  /** true forgets that it failed. */
  enabled?: boolean | null;
}

export interface EndpointRequest {
  url: string;
  /** None: `job.succeeded`, `job.failed`, `job.cancelled` and `job.dead`. A batch's end is told to those alone that name `batch.ended`. */
  events?: EventType[];
  /** What it is for. */
  note?: string;
}

export interface EndpointView {
  id: string;
  url: string;
  events: string[];
  note: string;
  /** No call has arrived since. */
  failing_since: string | null;
  /** Set: it is not called any more. */
  disabled_at: string | null;
  disabled_why: string | null;
  created_at: string | null;
}

export interface EndpointsPage {
  webhooks: EndpointView[];
}

/** Why a job did not succeed: `kind` is for programs, `message` for people. */
export interface ErrorView {
  kind: string;
  message: string;
  field?: string | null;
  detail?: string | null;
}

export type EventType = "job.started" | "job.succeeded" | "job.failed" | "job.cancelled" | "job.dead" | "batch.ended";

/** Why a job is where it is. */
export interface ExplainView {
  state: State;
  /** What holds it back, for programs. */
  rule: Rule;
  /** The same for people. */
  why: string;
  /** What would help; any of these. */
  relax: string[];
  lane: string;
  paused_since: string | null;
  /** What loading its model took where it is loaded: what a cold slot costs it. Null: it is loaded nowhere, or nobody says. */
  swap_s: number | null;
  /** Inside its worker, once it has waited for half a second there. */
  waits_for: InsideView | null;
  workers: EligibleView[];
  /** Of these workers, for this lane. */
  slots: number;
  running_in_lane: number;
  offered_in_lane: number;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  not_before: string | null;
  start_deadline: string | null;
  tenant: ShareView;
}

export interface Failed {
  type: "failed";
  error: Record<string, unknown>;
}

export interface FeedbackRequest {
  name: string;
  value: number;
}

export interface FireView {
  /** When it was due. */
  fire_at: string;
  fired_at: string | null;
  job: string | null;
  run: string | null;
  error: string | null;
}

export interface FleetView {
  alive: number;
  slots: number;
  busy: number;
}

export type Frame = Queued | Started | Attempt | Progress | Token | Preview | Segment | Log | Metric | Reset | Cancelling | Succeeded | Failed | Cancelled | Dead;

export interface GpuView {
  name: string;
  utilisation: number;
  memory_used_bytes: number;
  memory_total_bytes: number;
}

export interface GrantRequest {
  /** So much more, from the bank; negative: so much less. */
  kudos: number;
}

export interface GroupView {
  fingerprint: string;
  source: Source;
  /** The cause, without ids, numbers and paths. */
  title: string;
  count: number;
  first_at: string;
  last_at: string;
}

export interface GroupsView {
  groups: GroupView[];
}

/** What is left out stays. */
export interface GuardRequest {
  on?: boolean | null;
  window_s?: number | null;
  /** Jobs of a kind on each path. */
  at_least?: number | null;
  /** The share that fails may be higher by this. */
  errors_over?: number | null;
  /** 1: waiting and running may take twice as long. */
  slower_by?: number | null;
}

export interface GuardView {
  on: boolean;
  window_s: number;
  at_least: number;
  errors_over: number;
  slower_by: number;
}

/** Why a route holds. */
export type How = "first" | "routed" | "promoted" | "rolled_back";

export interface InferenceRequest {
  /** Any but `training`. */
  kind?: string;
  /** An engine's own, or a registered one: `NAME`, `NAME@3`. The kind's default when left out. */
  model?: string | null;
  /** Fits the `input_schema` that `GET /models` tells for the kind and model. */
  input: Record<string, unknown>;
  /** Higher first, within one tenant. */
  priority?: number;
  /** Not before this time. */
  run_at?: string | null;
  /** Fail if it has not started by then. */
  start_deadline?: string | null;
  /** Seconds one attempt may run. */
  timeout?: number;
  labels?: Record<string, unknown>;
  /** Whoever shares it gets the same version of a registered model; else all of a tenant. */
  sticky?: string | null;
  /** Of a training: the registered model it makes a version of. */
  register_as?: string | null;
  /** What becomes of it when its last watcher has left. Unwatched jobs go on. */
  on_disconnect?: string | CancelAfter;
  /** Who is called when it ends: an address, or one with `events`. */
  webhook?: string | WebhookRequest | null;
}

/** What a running job waits for inside its worker, as that said last. */
export interface InsideView {
  /** `devices`, `download`, `load`, `batch` or `memory`. */
  what: string;
  since: string;
  note: string;
  /** The tenant's jobs that have what it waits for. */
  before: BeforeView[];
  /** How many of other tenants have it. */
  others: number;
}

export type ItemState = "open" | "succeeded" | "failed" | "cancelled" | "dead" | "rejected";

/** Which jobs, of all tenants. */
export interface JobFilter {
  id?: string | null;
  tenant?: string | null;
  state?: State | null;
  kind?: string | null;
  model?: string | null;
  path?: string | null;
  /** The queue: its engine's name. */
  lane?: string | null;
  /** `name:value` */
  label?: string | null;
  /** A part of what the error of a failed or dead job says, in whatever case. */
  error?: string | null;
  /** Who runs it, or tried it once. */
  worker?: string | null;
  created_after?: string | null;
  created_before?: string | null;
}

export interface JobLogView {
  id: string;
  state: State;
  trace_id: string | null;
  lines: LogLineView[];
  /** Earlier lines of its engines, beyond `limit`. */
  left_out: number;
  /** false: the live stream is gone or away, and its engines may have said more. */
  complete: boolean;
}

export interface JobRequest {
  kind: string;
  /** An engine's own, or a registered one: `NAME`, `NAME@3`. The kind's default when left out. */
  model?: string | null;
  /** Fits the `input_schema` that `GET /models` tells for the kind and model. */
  input: Record<string, unknown>;
  /** Higher first, within one tenant. */
  priority?: number;
  /** Not before this time. */
  run_at?: string | null;
  /** Fail if it has not started by then. */
  start_deadline?: string | null;
  /** Seconds one attempt may run. */
  timeout?: number;
  labels?: Record<string, unknown>;
  /** Whoever shares it gets the same version of a registered model; else all of a tenant. */
  sticky?: string | null;
  /** Of a training: the registered model it makes a version of. */
  register_as?: string | null;
  /** What becomes of it when its last watcher has left. Unwatched jobs go on. */
  on_disconnect?: string | CancelAfter;
  /** Who is called when it ends: an address, or one with `events`. */
  webhook?: string | WebhookRequest | null;
}

export interface JobView {
  id: string;
  kind: string;
  model: string;
  state: State;
  /** How many times it was given to a worker. */
  attempt: number;
  /** The job that somebody retried by hand. */
  retry_of: string | null;
  /** How far, 0 to 1, as last reported. */
  progress: number | null;
  /** What a next attempt goes on from; null where that begins at the beginning. */
  checkpoint: CheckpointView | null;
  priority: number;
  labels: Record<string, string>;
  /** The registered model it makes a version of. */
  register_as: string | null;
  input: Record<string, unknown>;
  /** What the engine made; null until it succeeded. */
  result: JsonValue;
  error: ErrorView | null;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: Links;
}

export interface JobsPage {
  jobs: JobView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export type JsonValue = unknown;

export interface KeyRequest {
  tenant: string;
  /** For the audit. */
  name?: string;
  /** `submit` may read, too, and `admin` may do what `admin:read` may. */
  scopes?: Scope[];
  /** null: never. */
  expires_at?: string | null;
}

export interface KeyView {
  id: string;
  tenant: string;
  name: string;
  scopes: Scope[];
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
  /** To the minute. */
  last_used_at: string | null;
  /** How the key begins. */
  hint: string;
}

export interface KeysPage {
  keys: KeyView[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

export interface LaneStandingView {
  lane: string;
  paused_since: string | null;
  /** Why it cannot be offered, for an operator to mend. */
  trouble: string | null;
  /** Heard of lately, with slots for it, and not draining. */
  workers: number;
  /** Of these workers. */
  slots: number;
  /** On all paths; 100000 of one path means: that or more. */
  waiting: number;
  /** In the workers' queue, for the next free slot. */
  offered: number;
  running: number;
  /** Of what waits or is offered: since it could have run. */
  oldest_age_s: number | null;
}

export interface LaneView {
  lane: string;
  paused_since: string | null;
}

export interface LanesView {
  lanes: LaneStandingView[];
}

export interface LatencyView {
  p50_s: number;
  p95_s: number;
}

/** Of books in order every number is zero. */
export interface LedgerView {
  /** Of all postings, in thousandths. */
  total: number;
  /** That are not two postings which make zero. */
  lame_entries: number;
  /** Users whose kudos are not their postings' sum. */
  wrong_balances: number;
  /** Users whose jobs do not explain what is held. */
  wrong_holds: number;
  below_floor: number;
}

export interface LetterDetail {
  number: number;
  source: Source;
  fingerprint: string;
  reason: string;
  queue: string;
  tenant: string | null;
  job: string | null;
  size: number;
  parked_at: string;
  /** When it is to be replayed. */
  replay_at: string | null;
  settled: Settled | null;
  settled_at: string | null;
  settled_by: string | null;
  /** The job that it became. */
  retried_as: string | null;
  message: string;
  headers: Record<string, string>;
  /** How `body` is written here. */
  encoding: "utf-8" | "base64";
  body: string;
  /** False: only the beginning was kept. */
  whole: boolean;
  /** Null: it is a message, or the job was deleted. */
  died: DeadJobView | null;
}

export interface LetterView {
  number: number;
  source: Source;
  fingerprint: string;
  reason: string;
  queue: string;
  tenant: string | null;
  job: string | null;
  size: number;
  parked_at: string;
  /** When it is to be replayed. */
  replay_at: string | null;
  settled: Settled | null;
  settled_at: string | null;
  settled_by: string | null;
  /** The job that it became. */
  retried_as: string | null;
}

export interface LettersPage {
  letters: LetterView[];
  next: number | null;
}

export interface Links {
  self: string;
  status: string;
  result: string;
  events: string;
  ws: string;
  cancel: string;
  retry: string;
  timeline: string;
}

export interface Log {
  type: "log";
  line: string;
}

export interface LogLineView {
  source: "job" | "attempt" | "engine";
  text: string;
  /** null for an engine's: it stands where it was said. */
  at: string | null;
  attempt: number | null;
  /** Of an engine's line, in the job's stream. */
  position: string | null;
}

/** Either `ids`, or all that a `filter` finds, so many a request. */
export interface ManyRequest {
  ids?: string[] | null;
  filter?: JobFilter | null;
  /** Jobs that this request may touch. */
  limit?: number;
  /** Its last `next`, to go on from there. */
  cursor?: string | null;
  /** Decide the same, and do nothing. */
  dry_run?: boolean;
}

export interface ManyView {
  matched: number;
  /** Of a dry run: so many would be. */
  done: number;
  /** The filter may find more: ask again, with `next` as `cursor`. */
  more: boolean;
  next: string | null;
  refused: RefusedView[];
}

export interface Metric {
  type: "metric";
  name: string;
  value: number;
  step?: number | null;
}

export interface ModelPerformanceView {
  model: string;
  since: string;
  /** Jobs of each version that are looked at: the latest ones. */
  most: number;
  metric: string | null;
  versions: VersionFigures[];
  /** Each other version with the one that gets most. */
  comparisons: ComparisonView[];
}

export interface ModelRouteRequest {
  /** By version, of any sum. */
  weights: Record<string, unknown>;
  /** The `number` of the route this one replaces; else 409. */
  expect?: number | null;
}

export interface ModelRouteView {
  number: number;
  weights: Record<string, number>;
  /** The same in percent. */
  shares: Record<string, number>;
  how: How;
  /** The route that a roll back went to. */
  restores: number | null;
  changed_by: string;
  changed_at: string | null;
}

export interface ModelRoutesPage {
  routes: ModelRouteView[];
  /** The `below` of the next page; null on the last one. */
  next: number | null;
}

export interface ModelView {
  kind: string;
  model: string;
  title: string;
  input_schema: Record<string, unknown>;
  /** By a tenant; `GET /models/{name}` tells more. */
  registered: boolean;
}

/** Either `to` or `priority`. */
export interface MoveRequest {
  to?: "front" | "back" | null;
  priority?: number | null;
}

export interface MovedView {
  id: string;
  tenant: string;
  lane: string;
  priority: number;
  /** Jobs before it in its lane, an estimate. */
  queue_position: number;
}

export interface NewEndpointView {
  id: string;
  url: string;
  events: string[];
  note: string;
  /** No call has arrived since. */
  failing_since: string | null;
  /** Set: it is not called any more. */
  disabled_at: string | null;
  disabled_why: string | null;
  created_at: string | null;
  /** What its calls are signed with: `whsec_…`. */
  secret: string;
}

export interface NewKeyView {
  id: string;
  tenant: string;
  name: string;
  scopes: Scope[];
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
  /** To the minute. */
  last_used_at: string | null;
  /** How the key begins. */
  hint: string;
  /** The key itself, which nobody can show again. */
  key: string;
}

export interface NewUserView {
  id: number;
  username: string;
  tenant: string;
  concurrency: number;
  trusted: boolean;
  moderator: boolean;
  /** The sum of its postings. */
  kudos: number;
  /** Of these, for jobs that have not ended. */
  held: number;
  /** null: debts have no limit. */
  floor: number | null;
  created_at: string | null;
  /** Its key, which nobody can show again. */
  key: string;
}

export interface OneStatusView {
  state: State;
  attempt: number;
  progress: number | null;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  /** Seconds until it ends, where progress tells. */
  eta_s: number | null;
  id: string;
  started_at: string | null;
  finished_at: string | null;
}

export interface OverviewView {
  at: string;
  window_s: number;
  /** What the figures are of: about the window, or less where more came or ended in it than the latest 30,000 jobs. */
  covers_s: number;
  bucket_s: number;
  /** Jobs that ended, each second. */
  per_s: number;
  ended: EndedView;
  /** Failed or dead, of those that were not cancelled; null: none ended. */
  failure_rate: number | null;
  /** From when a job could have run to its start. */
  wait_s: PercentilesView;
  /** From its first start to its end. */
  run_s: PercentilesView;
  /** At most 100000 are counted. */
  dead_letters_open: number;
  lanes: LaneStandingView[];
  workers: FleetView;
  paths: PathLoadView[];
  series: BucketView[];
}

export interface PathLoadView {
  path: string;
  /** Dispatchers of its own are there. */
  attended: boolean;
  /** Or offered. */
  waiting: number;
  running: number;
  ended: number;
  /** Or dead. */
  failed: number;
  wait_p50_s: number | null;
  run_p50_s: number | null;
}

/** Within the guard's window; times of those that ended, failures among all but the cancelled. */
export interface PathLookView {
  path: "local" | "distributed";
  attended: boolean;
  submitted: number;
  running: number;
  ended: number;
  failed: number;
  error_rate: number | null;
  wait_p50_s: number | null;
  wait_p95_s: number | null;
  run_p50_s: number | null;
  run_p95_s: number | null;
}

/** In seconds, to two digits; null: no job did. */
export interface PercentilesView {
  p50: number | null;
  p95: number | null;
}

export type PieceState = "running" | "succeeded" | "failed" | "cancelled" | "dead" | "stopped";

export interface PieceView {
  index: number;
  state: PieceState;
  /** Which job of this piece it is, from 1. */
  tries: number;
  job: string | null;
  progress: number | null;
  output: Record<string, unknown> | null;
  error: ErrorView | null;
  started_at: string | null;
  ended_at: string | null;
}

export interface PipelineView {
  name: string;
  title: string;
  takes: TakenView[];
  stages: StageOutline[];
  /** Of a run that says no other; null: none. */
  deadline_s: number | null;
  /** Why it cannot be run now; null: it can. */
  problem: string | null;
}

export interface PostingView {
  entry: string;
  reason: Reason;
  /** The other side's account; -1 is the bank. */
  counter: number;
  /** Negative: it left. */
  kudos: number;
  job: string | null;
  at: string;
}

export interface Preview {
  type: "preview";
  image: string;
  step?: number | null;
}

export interface Progress {
  type: "progress";
  fraction?: number | null;
  step?: number | null;
  steps?: number | null;
  stage?: string | null;
  note?: string | null;
}

export interface PromoteRequest {
  version: number;
}

export interface Queued {
  type: "queued";
  position?: number | null;
  eta_s?: number | null;
}

export type Reason = "charge" | "reward" | "transfer" | "grant";

export interface RefusedView {
  id: string;
  why: string;
}

export interface RegisteredModelView {
  name: string;
  /** Whose it is. */
  tenant: string;
  /** Whether it is yours to change. */
  own: boolean;
  /** All tenants may use it. */
  shared: boolean;
  /** The number of its newest version. */
  latest: number;
  route: ModelRouteView;
  created_at: string | null;
}

export interface RegisteredPage {
  models: RegisteredModelView[];
  /** The `after` of the next page; null on the last one. */
  next: string | null;
}

/** What a replay would do. */
export interface RehearsalView {
  number: number;
  /** Run its job again, send the message again, or nothing. */
  would: "run" | "send" | "nothing";
  /** The job's lane, or the message's queue. */
  to: string;
  /** Its input into its engine's schema; null: not looked at. */
  fits: boolean | null;
  /** Why it would do nothing, not fit, or wait. */
  why: string | null;
  /** What of its input does not fit, as a refusal says it: `/input/prompt`. */
  pointer: string | null;
}

export interface RehearsedView {
  /** So many would be replayed. */
  count: number;
  /** The filter finds more than one request may touch. */
  more: boolean;
  /** Of these, so many would fail: their input does not fit. */
  unfit: number;
  /** Those of which there is something to say. */
  doubtful: RehearsalView[];
}

export interface ReplayOneRequest {
  /** Say what it would do, and do nothing. */
  dry_run?: boolean;
  /** Of a dead job: instead of its own, which stays as it was. */
  input?: Record<string, unknown> | null;
}

export interface ReplayRequest {
  fingerprint?: string | null;
  source?: Source | null;
  queue?: string | null;
  tenant?: string | null;
  all?: boolean;
  /** At most so many each second. */
  per_s?: number;
  /** Say what it would do, and do nothing. */
  dry_run?: boolean;
}

export interface ReplicaView {
  replica: string;
  version: number;
  seen_at: string;
}

/** The log no longer reaches back to the watcher's position: start over from this state. */
export interface Reset {
  type: "reset";
  snapshot: Record<string, unknown>;
}

export interface ResultView {
  state: State;
  result: JsonValue;
  error: ErrorView | null;
  /** Those that the result names, the first 64 of them. */
  blobs?: BlobLinkView[];
}

/** What is left out stays. */
export interface RolloutRequest {
  /** Tenants that take the distributed path anyway. */
  internal?: string[] | null;
  /** Of tenants, by a hash of their names. */
  percent?: number | null;
  kinds?: Record<string, unknown> | null;
  /** Of jobs: these run on the other path too, unseen. */
  shadow_percent?: number | null;
  guard?: GuardRequest | null;
  expect_version?: number | null;
}

export interface RolloutView {
  version: number;
  source: "default" | "stored" | "environment";
  fixed_by: string[];
  stage: string;
  internal: string[];
  percent: number;
  kinds: Record<string, "local" | "distributed">;
  shadow_percent: number;
  guard: GuardView;
  changed_at: string | null;
  changed_by: string | null;
  tripped: TrippedView | null;
  paths: PathLookView[];
  replicas: ReplicaView[];
  shadows: ShadowsView;
}

/** In the order they are looked at: what blocks most comes first. */
export type Rule = "ended" | "running" | "cancelling" | "start_deadline" | "scheduled" | "retry_later" | "lane_paused" | "lane_unusable" | "no_producer" | "no_worker" | "few_workers" | "gathering" | "offered" | "tenant_cap" | "lane_cap" | "slots_busy" | "gangs_turn" | "next";

export interface RunError {
  kind: string;
  message: string;
  field?: string | null;
  detail?: string | null;
  stage?: string | null;
  index?: number | null;
}

export interface RunLinks {
  self: string;
  events: string;
  ws: string;
  cancel: string;
}

export interface RunRequest {
  pipeline: string;
  /** What the pipeline `takes`, as `GET /pipelines` tells. */
  input: Record<string, unknown>;
  /** Of each of its jobs. */
  priority?: number;
  /** All of it is to be over so many seconds after it begins: then what runs is stopped, nothing more begins, and it has failed. Null: as the pipeline says. */
  deadline_s?: number | null;
  labels?: Record<string, unknown>;
}

export type RunState = "running" | "failing" | "cancelling" | "succeeded" | "failed" | "cancelled";

export interface RunSummary {
  id: string;
  pipeline: string;
  state: RunState;
  priority: number;
  labels: Record<string, string>;
  input: Record<string, unknown>;
  /** Of a run that failed: why, and the stage unless it was its deadline. */
  error: RunError | null;
  deadline_s: number | null;
  /** What is not over by then fails. Null: it has all the time. */
  deadline_at: string | null;
  created_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: RunLinks;
}

export interface RunView {
  id: string;
  pipeline: string;
  state: RunState;
  priority: number;
  labels: Record<string, string>;
  input: Record<string, unknown>;
  /** Of a run that failed: why, and the stage unless it was its deadline. */
  error: RunError | null;
  deadline_s: number | null;
  /** What is not over by then fails. Null: it has all the time. */
  deadline_at: string | null;
  created_at: string | null;
  finished_at: string | null;
  trace_id: string | null;
  links: RunLinks;
  /** 0 to 1, by the weights of its stages. */
  progress: number;
  stages: StageView[];
}

export interface RunningView {
  job: string;
  kind: string;
  lane: string;
  attempt: number;
  started_at: string | null;
  progress: number | null;
}

export interface RunsPage {
  runs: RunSummary[];
  /** The `cursor` of the next page; null on the last one. */
  next: string | null;
}

/** What each firing submits. */
export interface ScheduledJob {
  kind: string;
  model?: string | null;
  input: Record<string, unknown>;
  priority?: number;
  timeout?: number;
  labels?: Record<string, unknown>;
}

/** What each firing begins. */
export interface ScheduledRun {
  pipeline: string;
  /** What the pipeline `takes`, as `GET /pipelines` tells. */
  input: Record<string, unknown>;
  /** Of each of its jobs. */
  priority?: number;
  /** All of it is to be over so many seconds after it begins: then what runs is stopped, nothing more begins, and it has failed. Null: as the pipeline says. */
  deadline_s?: number | null;
  labels?: Record<string, unknown>;
}

/** What a key is good for. See `includes`: some are good for what others are, too. */
export type Scope = "submit" | "read" | "models" | "worker" | "admin" | "admin:read";

export interface SecretView {
  secret: string;
  /** Signs beside it until `old_until`. */
  old: string | null;
  old_until: string | null;
}

/** A piece of what is being made that can be played already, in order; the result names them all. */
export interface Segment {
  type: "segment";
  blob: string;
  media_type: string;
  duration_s?: number | null;
}

export type Settled = "replayed" | "discarded";

export interface SettledView {
  count: number;
  /** The filter finds more than one request may touch: ask again. */
  more: boolean;
  /** When the last replay is planned for. */
  until?: string | null;
}

export interface ShadowView {
  job: string;
  shadow: string;
  kind: string;
  same: boolean;
  diff: Record<string, JsonValue>;
  at: string;
}

export interface ShadowsView {
  compared: number;
  same: number;
  different: number;
  latest: ShadowView[];
}

/** What the job's tenant gets, and what it has running or offered. */
export interface ShareView {
  weight: number;
  running: number;
  max_running: number | null;
  running_in_lane: number;
  max_running_per_lane: number | null;
}

export interface SharedRequest {
  /** Whether all tenants may use it. */
  shared: boolean;
}

export type Source = "message" | "job";

export interface StageOutline {
  name: string;
  kind: string;
  /** Of a registered one the version: `NAME@N`. */
  model: string | null;
  /** The stage whose training makes its model. */
  made_by: string | null;
  /** The model that it makes a version of. */
  register_as: string | null;
  /** The stages that it takes from. */
  after: string[];
  fans_out: boolean;
}

export type StageState = "waiting" | "running" | "succeeded" | "failed" | "skipped";

export interface StageView {
  name: string;
  kind: string;
  /** Of a registered one the version: `NAME@N`. */
  model: string | null;
  /** The stage whose training makes its model. */
  made_by: string | null;
  /** The model that it makes a version of. */
  register_as: string | null;
  /** The stages that it takes from. */
  after: string[];
  fans_out: boolean;
  state: StageState;
  progress: number;
  /** `fail`: the run fails with it; `go_on`: not. */
  on_failure: string;
  /** One, or one for each item of a fan-out. */
  pieces: PieceView[];
}

/** Where an attempt's time went, in seconds. */
export interface StagesView {
  claim_s: number;
  load_s: number;
  run_s: number;
  store_s: number;
  /** Its model was not loaded where it came; `load_s` has the load. */
  cold: boolean;
}

export type Standing = "alive" | "draining" | "silent";

export interface StandingView {
  tenant: string;
  weight: number;
  max_running: number | null;
  max_running_per_lane: number | null;
  max_queued: number | null;
  retain_days: number | null;
  /** Scheduled or queued; counted to 10,000. */
  waiting: number;
  /** By a worker; counted to 10,000. */
  running: number;
  /** Kept in the store, neither revoked nor expired. */
  keys: number;
}

export interface Started {
  type: "started";
  worker: string;
  attempt: number;
}

export type State = "scheduled" | "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "dead";

export interface StatusView {
  state: State;
  attempt: number;
  progress: number | null;
  /** Jobs ahead of it in its lane, while queued. */
  queue_position: number | null;
  /** Seconds until it ends, where progress tells. */
  eta_s: number | null;
}

export interface Succeeded {
  type: "succeeded";
  result: unknown;
}

export interface TakenView {
  name: string;
  shape: string;
  optional: boolean;
}

export interface TenantsPage {
  tenants: StandingView[];
  /** The `after` of the next page; null on the last one. */
  next: string | null;
}

export interface TermsRequest {
  /** Jobs it gets in each round of the tenants. */
  weight?: number;
  /** Running or offered at once; null: no cap. */
  max_running?: number | null;
  max_running_per_lane?: number | null;
  /** null: the installation's MAX_QUEUED_PER_TENANT. */
  max_queued?: number | null;
  /** Jobs and runs go so many days after their end, or by RETAIN_DAYS if that is sooner. */
  retain_days?: number | null;
}

export interface TermsView {
  tenant: string;
  weight: number;
  max_running: number | null;
  max_running_per_lane: number | null;
  max_queued: number | null;
  retain_days: number | null;
}

export interface TicketView {
  /** Send it as `?ticket=`, once. */
  ticket: string;
  expires_in_s: number;
}

export interface TimelineView {
  id: string;
  state: State;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  cancel_asked_at: string | null;
  cancel_reason: "asked" | "disconnected" | null;
  /** From the wish to cancel it to its end. */
  cancel_s: number | null;
  /** From submission to the end. */
  total_s: number | null;
  trace_id: string | null;
  /** The id of the key it was submitted with, if that is one the store keeps. */
  api_key: string | null;
  /** Where to look at it, if TRACE_URL is set. */
  trace_url: string | null;
  checkpoint: CheckpointView | null;
  attempts: AttemptView[];
}

export interface Token {
  type: "token";
  text: string;
}

export interface TrainingRequest {
  kind?: string;
  /** An engine's own, or a registered one: `NAME`, `NAME@3`. The kind's default when left out. */
  model?: string | null;
  /** Fits the `input_schema` that `GET /models` tells for the kind and model. */
  input: Record<string, unknown>;
  /** Higher first, within one tenant. */
  priority?: number;
  /** Not before this time. */
  run_at?: string | null;
  /** Fail if it has not started by then. */
  start_deadline?: string | null;
  /** Seconds one attempt may run. */
  timeout?: number;
  labels?: Record<string, unknown>;
  /** Whoever shares it gets the same version of a registered model; else all of a tenant. */
  sticky?: string | null;
  /** Of a training: the registered model it makes a version of. */
  register_as?: string | null;
  /** What becomes of it when its last watcher has left. Unwatched jobs go on. */
  on_disconnect?: string | CancelAfter;
  /** Who is called when it ends: an address, or one with `events`. */
  webhook?: string | WebhookRequest | null;
}

export interface TrippedView {
  at: string;
  why: string;
  percent: number;
}

export interface TryView {
  at: string;
  /** Null: there was no answer. */
  status: number | null;
  /** Null: it arrived. */
  error: string | null;
  took_ms: number;
}

export interface UserAdminView {
  id: number;
  username: string;
  tenant: string;
  concurrency: number;
  trusted: boolean;
  moderator: boolean;
  /** The sum of its postings. */
  kudos: number;
  /** Of these, for jobs that have not ended. */
  held: number;
  /** null: debts have no limit. */
  floor: number | null;
  created_at: string | null;
}

/** What is left out stays as it is. */
export interface UserPatch {
  alias?: string | null;
  concurrency?: number | null;
  trusted?: boolean | null;
  moderator?: boolean | null;
  floor?: number | null;
  /** Debts have no limit from now on. */
  no_floor?: boolean;
}

/** A new user with a key of its own. What is left out is as for everybody. */
export interface UserRequest {
  /** For people; the number comes from us. */
  alias: string;
  /** That there is; null: a new one. A tenant is one user. */
  tenant?: string | null;
  /** Jobs that have not ended. */
  concurrency?: number | null;
  /** What it has never falls below this. */
  floor?: number | null;
  kudos?: number | null;
}

export interface UsersPage {
  users: UserAdminView[];
  /** The `after` of the next page; null on the last one. */
  next: number | null;
}

export interface VerdictView {
  /** `failure_rate`, or the metric. */
  of: string;
  test: string;
  /** null: too few to tell. */
  p: number | null;
  differs: boolean;
  said: string;
}

export interface VersionFigures {
  version: number;
  /** The percent of its model's jobs that it gets now. */
  share: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Of those that were not cancelled. */
  failure_rate: number | null;
  /** From when it could start to when it did. */
  queue: LatencyView | null;
  /** From its first start to its end. */
  run: LatencyView | null;
  metric_mean: number | null;
  metric_count: number;
}

export interface VersionRequest {
  artefact: BlobName;
  format: string;
  /** Of its bytes: refused if they are others. */
  sha256?: string | null;
  metrics?: Record<string, number>;
  parameters?: Record<string, unknown>;
  /** What it was trained on. */
  data?: string;
  /** The job of yours that made it. */
  job?: string | null;
  note?: string;
}

/** It never changes, but that it may be retired. */
export interface VersionView {
  model: string;
  version: number;
  /** The `model` of a job that wants this version. */
  asked_as: string;
  format: string;
  /** The blob; its owner alone can read it. */
  artefact: Record<string, string>;
  sha256: string;
  bytes: number;
  metrics: Record<string, number>;
  parameters: Record<string, unknown>;
  data: string;
  /** The training job that made it. */
  job: string | null;
  note: string;
  made_by: string;
  created_at: string;
  retired_at: string | null;
  retired_by: string | null;
  /** The percent of its model's jobs that it gets now. */
  share: number;
}

export interface VersionsPage {
  versions: VersionView[];
  /** The `below` of the next page; null on the last one. */
  next: number | null;
}

export interface WarmModelView {
  lane: string;
  model: string;
  /** That have it loaded. */
  slots: number;
  /** What loading it added: on the GPU, or else resident. */
  memory_bytes: number;
  /** What loading it took. */
  load_s: number;
}

export interface WebhookRequest {
  url: string;
  /** None: its end, whatever that is. */
  events?: EventType[];
}

export interface WhoAmIView {
  /** null: the ADMIN_KEY is no tenant's. */
  tenant: string | null;
  scopes: Scope[];
  /** What operators see. */
  may_read: boolean;
  /** What operators may change. */
  may_change: boolean;
  /** As the audit would name you. */
  who: string;
}

/** Seconds that an overview's figures may be of. */
export type Window = 60 | 300 | 900 | 3600;

export interface WorkerView {
  id: string;
  path: string | null;
  state: Standing;
  seen_at: string;
  drain_asked_at: string | null;
  slots: Record<string, number>;
  running: RunningView[];
  /** Resident, with its engines' processes. */
  memory_bytes: number | null;
  /** Null: it cannot tell. */
  gpus: GpuView[] | null;
  /** Loaded now, so that their jobs start at once. Null: it cannot tell. */
  models: WarmModelView[] | null;
  /** By lane, the GPU that each slot was given; a lane that sees them all is not there. */
  placed: Record<string, string[]>;
  /** Whether an offer and its grant would reach it. */
  receives: boolean | null;
  why: string;
}

export interface WorkersView {
  workers: WorkerView[];
}
