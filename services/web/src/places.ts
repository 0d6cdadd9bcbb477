// What an address of the page shows.

export type Place =
  | { at: "new" }
  | { at: "list" }
  | { at: "job"; id: string }
  | { at: "runs" }
  | { at: "run"; id: string }
  | { at: "batches" }
  | { at: "batch"; id: string }
  | { at: "models" }
  | { at: "model"; id: string }
  | { at: "webhooks" }
  | { at: "webhook"; id: string }
  | { at: "deliveries" }
  | { at: "delivery"; id: string };

export function placeOf(path: string): Place {
  const job = /^\/jobs\/([^/]+)\/?$/.exec(path)?.[1];
  if (job !== undefined) return { at: "job", id: decoded(job) };
  const run = /^\/runs\/([^/]+)\/?$/.exec(path)?.[1];
  if (run !== undefined) return { at: "run", id: decoded(run) };
  if (/^\/runs\/?$/.test(path)) return { at: "runs" };
  const batch = /^\/batches\/([^/]+)\/?$/.exec(path)?.[1];
  if (batch !== undefined) return { at: "batch", id: decoded(batch) };
  if (/^\/batches\/?$/.test(path)) return { at: "batches" };
  const model = /^\/models\/([^/]+)\/?$/.exec(path)?.[1];
  if (model !== undefined) return { at: "model", id: decoded(model) };
  if (/^\/models\/?$/.test(path)) return { at: "models" };
  const delivery = /^\/webhooks\/deliveries\/([^/]+)\/?$/.exec(path)?.[1];
  if (delivery !== undefined) return { at: "delivery", id: decoded(delivery) };
  if (/^\/webhooks\/deliveries\/?$/.test(path)) return { at: "deliveries" };
  const webhook = /^\/webhooks\/([^/]+)\/?$/.exec(path)?.[1];
  if (webhook !== undefined) return { at: "webhook", id: decoded(webhook) };
  if (/^\/webhooks\/?$/.test(path)) return { at: "webhooks" };
  return /^\/jobs\/?$/.test(path) ? { at: "list" } : { at: "new" };
}

export function pathOf(place: Place): string {
  switch (place.at) {
    case "job":
      return `/jobs/${place.id}`;
    case "run":
      return `/runs/${place.id}`;
    case "runs":
      return "/runs";
    case "batch":
      return `/batches/${place.id}`;
    case "batches":
      return "/batches";
    case "model":
      return `/models/${encodeURIComponent(place.id)}`;
    case "models":
      return "/models";
    case "webhooks":
      return "/webhooks";
    case "webhook":
      return `/webhooks/${place.id}`;
    case "deliveries":
      return "/webhooks/deliveries";
    case "delivery":
      return `/webhooks/deliveries/${place.id}`;
    case "list":
      return "/jobs";
    case "new":
      return "/";
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
