// Light or dark: as the system says, until somebody says otherwise.

export type Theme = "auto" | "light" | "dark";

const KEPT = "headrace.theme";
const PAPER = { light: "#f4f6f5", dark: "#0d1314" };

export function theme(): Theme {
  const kept = localStorage.getItem(KEPT);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function choose(next: Theme): void {
  if (next === "auto") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, next);
  show(next);
}

export function show(chosen: Theme = theme()): void {
  document.documentElement.dataset["theme"] = chosen;
  for (const meta of document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")) {
    const own = meta.media.includes("dark") ? "dark" : "light";
    meta.content = PAPER[chosen === "auto" ? own : chosen];
  }
}
