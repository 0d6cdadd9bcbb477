// What an address of the page shows.

export type Place = { at: "new" } | { at: "list" } | { at: "job"; id: string };

export function placeOf(path: string): Place {
  const job = /^\/jobs\/([^/]+)\/?$/.exec(path)?.[1];
  if (job !== undefined) return { at: "job", id: decoded(job) };
  return /^\/jobs\/?$/.test(path) ? { at: "list" } : { at: "new" };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
