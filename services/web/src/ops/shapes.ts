// What the operators' routes take and answer, by the names that the console has for it.

import type {
  AnybodysDeliveryView,
  AnybodysEndpointView,
  AnybodysJobsPage,
  AnybodysJobView,
  AnybodysScheduleDetail,
  AnybodysScheduleRequest,
  AnybodysScheduleView,
  BucketView,
  Calls,
  DeedView,
  GroupView,
  GuardView,
  KeyView,
  LaneStandingView,
  LetterDetail,
  LetterView,
  ManyRequest,
  ManyView,
  OverviewView,
  RehearsedView,
  RolloutRequest,
  RolloutView,
  SettledView,
  StandingView,
  TermsRequest,
  WhoAmIView,
  Window,
  WorkerView,
} from "../generated";

export type { LetterDetail, ManyRequest, Window };

export type AnyCall = AnybodysDeliveryView;
export type AnyEndpoint = AnybodysEndpointView;
export type AnyJob = AnybodysJobView;
export type JobsPage = AnybodysJobsPage;
export type Bucket = BucketView;
export type Deed = DeedView;
export type Group = GroupView;
export type Guard = GuardView;
export type KeyRow = KeyView;
export type LaneRow = LaneStandingView;
export type Letter = LetterView;
export type ManyDone = ManyView;
export type Overview = OverviewView;
export type PathNow = OverviewView["paths"][number];
export type PathRolled = RolloutView["paths"][number];
export type Rollout = RolloutView;
export type RolloutChange = RolloutRequest;
export type NewSchedule = AnybodysScheduleRequest;
export type Recurring = AnybodysScheduleView;
export type RecurringDetail = AnybodysScheduleDetail;
export type Settled = SettledView;
export type TenantRow = StandingView;
export type Terms = Required<TermsRequest>;
export type Whoami = WhoAmIView;
export type Worker = WorkerView;
export type Would = RehearsedView;

export type DeliveriesQuery = NonNullable<Calls["GET /admin/webhooks/deliveries"]["query"]>;
export type JobsQuery = NonNullable<Calls["GET /admin/jobs"]["query"]>;
export type LettersQuery = NonNullable<Calls["GET /admin/dead-letters"]["query"]>;
export type JobFilter = Omit<JobsQuery, "limit" | "cursor">;
export type LetterFilter = Pick<LettersQuery, "fingerprint" | "source" | "queue" | "tenant">;
