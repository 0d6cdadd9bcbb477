// Puts the page into its document.

import { mount } from "svelte";

import App from "./App.svelte";
import "./page.css";
import { show } from "./theme";

show();
const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
mount(App, { target });
