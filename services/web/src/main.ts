// Puts the page into its document: the jobs, or the operators' console, which comes only to those who go there.

import { mount } from "svelte";

import App from "./App.svelte";
import "./page.css";
import { show } from "./theme";

show();
const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
if (/^\/ops(\/|$)/.test(location.pathname)) {
  void import("./ops/Console.svelte").then(({ default: Console }) => mount(Console, { target }));
} else {
  mount(App, { target });
}
