// How a registered model, its route and its versions are put into words, shares and choices.

import type { Performance, Route, Version } from "./api";
import type { VerdictView } from "./generated";
import { duration, number, spoken } from "./wording";

type Figures = Performance["versions"][number];

const HUES = ["var(--s4)", "var(--s2)", "var(--s3)", "var(--s5)", "var(--s6)"];
/** So that two versions are told apart without their colours. */
const DASHES = ["none", "7 4", "2 3", "9 3 2 3", "12 5"];
const HOW: Record<Route["how"], string> = {
  first: "First version",
  routed: "Weights set",
  promoted: "Promoted",
  rolled_back: "Rolled back",
};

export interface Part {
  version: number;
  percent: number;
}

/** The same wherever the version is shown. */
export function hue(version: number): string {
  return HUES[(version - 1) % HUES.length]!;
}

export function dash(version: number): string {
  return DASHES[(version - 1) % DASHES.length]!;
}

/** The parts of a bar, the oldest version first. */
export function parts({ shares }: Pick<Route, "shares">): Part[] {
  return Object.entries(shares)
    .map(([version, percent]) => ({ version: Number(version), percent }))
    .sort((a, b) => a.version - b.version);
}

/** As in 33.3 %: a share as it is, to a tenth. */
export function percentage(percent: number): string {
  return percent > 0 && percent < 0.1 ? "< 0.1 %" : `${Number(percent.toFixed(1))} %`;
}

/** "all to version 2", or "version 1 90 %, version 2 10 %". */
export function toldRoute(route: Pick<Route, "shares">): string {
  const all = parts(route);
  if (all.length === 1) return `all to version ${all[0]!.version}`;
  return all.map(({ version, percent }) => `version ${version} ${percentage(percent)}`).join(", ");
}

export function toldHow({ how, restores }: Pick<Route, "how" | "restores">): string {
  return restores === null ? HOW[how] : `${HOW[how]} to route ${restores}`;
}

/** The number of the route that a roll back goes to, as the api decides it; null: there is none. */
export function numberBefore({ number, restores }: Pick<Route, "number" | "restores">) {
  return (restores ?? number) - 1 || null;
}

/** Why a version cannot be retired now, as the api decides it; null: it can. */
export function whyKept(version: number, route: Route, routes: readonly Route[]): string | null {
  if (version in route.weights) return "Jobs are sent to it. Route them elsewhere first.";
  const before = routes.find(({ number }) => number === numberBefore(route));
  if (before === undefined || !(version in before.weights)) return null;
  return "A roll back would go to it. Change the route once more first.";
}

/** What was typed, as a route; an empty field and 0 are no part of it. */
export function weightsIn(
  typed: Readonly<Record<number, string>>,
): { weights: Record<string, number> } | { problem: string } {
  const weights: Record<string, number> = {};
  for (const [version, text] of Object.entries(typed)) {
    const weight = Number(text.trim().replace(",", "."));
    if (!(weight >= 0 && weight <= 1_000_000)) {
      return { problem: `Version ${version}: a number from 0 to a million.` };
    }
    if (weight > 0) weights[version] = weight;
  }
  const count = Object.keys(weights).length;
  if (count === 0) return { problem: "One version at least has to get something." };
  return count > 10 ? { problem: "A route names 10 versions at most." } : { weights };
}

export function sharesOf(weights: Readonly<Record<string, number>>): Record<string, number> {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  return Object.fromEntries(
    Object.entries(weights).map(([version, weight]) => [version, (100 * weight) / total]),
  );
}

/** Which two to compare at first: those that get most, then the newest; of retired ones no more than need be. */
export function pairOf(versions: readonly Version[]): [number, number] | null {
  const [base, other] = [...versions].sort(
    (a, b) =>
      b.share - a.share ||
      Number(a.retired_at !== null) - Number(b.retired_at !== null) ||
      b.version - a.version,
  );
  return base === undefined || other === undefined ? null : [base.version, other.version];
}

/** A parameter of a training, as a person would write it. */
export function parameter(value: unknown): string {
  if (value === null) return "none";
  if (typeof value === "number") return number(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A name of a metric or a measure as a heading: `output.` says where it is read, not what it is. */
export function measure(name: string): string {
  return spoken(name.replace(/^output\./, ""));
}

/** "Failure rate: no difference shown (p = 0.41)." */
export function verdictLine({ of, said }: Pick<VerdictView, "of" | "said">): string {
  return `${measure(of)}: ${said.replace(/\.$/, "")}.`;
}

/** A line of a plot: solid up to `solid`, lighter up to `light`. */
export interface Span {
  version: number;
  solid: number | null;
  light: number | null;
  told: string;
}

export interface Measure {
  title: string;
  hint: string;
  spans: Span[];
}

type Latency = Figures["run"];

/** What is plotted of versions beside each other. */
export function measures(found: readonly Figures[], metric: string | null): Measure[] {
  const latency = (version: number, told: Latency): Span => ({
    version,
    solid: told?.p50_s ?? null,
    light: told?.p95_s ?? null,
    told: told === null ? "no jobs" : `${duration(told.p50_s)} · ${duration(told.p95_s)}`,
  });
  const plotted: Measure[] = [
    {
      title: "Failed",
      hint: "of those that were not cancelled",
      spans: found.map(({ version, failure_rate, failed, succeeded }) => ({
        version,
        solid: failure_rate,
        light: null,
        told:
          failure_rate === null
            ? "no jobs"
            : `${percentage(failure_rate * 100)} (${failed} of ${failed + succeeded})`,
      })),
    },
    {
      title: "Running",
      hint: "p50 · p95",
      spans: found.map(({ version, run }) => latency(version, run)),
    },
    {
      title: "Waiting",
      hint: "p50 · p95",
      spans: found.map(({ version, queue }) => latency(version, queue)),
    },
  ];
  if (metric === null) return plotted;
  const spans = found.map(({ version, metric_mean, metric_count }) => ({
    version,
    solid: metric_mean,
    light: null,
    told: metric_mean === null ? "nothing said" : `${number(metric_mean)} (of ${metric_count})`,
  }));
  return [...plotted, { title: measure(metric), hint: "mean", spans }];
}
