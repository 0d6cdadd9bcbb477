// What the page did, as a line for a shell.

import type { Job } from "./api";

interface Caller {
  origin: string;
  /** The key itself is never written out: a line that is copied gets around. */
  withKey: boolean;
}

export function submitLine(job: Job, caller: Caller): string {
  const { kind, model, input } = job;
  const body = JSON.stringify({ kind, model, input });
  return [
    `curl ${quoted(`${caller.origin}/jobs`)}`,
    ...keyFlag(caller),
    "-H 'content-type: application/json'",
    `-d ${quoted(body)}`,
  ].join(" \\\n  ");
}

export function followLine(job: Job, caller: Caller): string {
  const address = quoted(`${caller.origin}${job.links.events}`);
  return [`curl -N ${address}`, ...keyFlag(caller)].join(" \\\n  ");
}

function keyFlag({ withKey }: Caller): string[] {
  return withKey ? ['-H "apikey: $HEADRACE_KEY"'] : [];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
