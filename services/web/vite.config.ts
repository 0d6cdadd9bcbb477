// Builds into the api's package, which serves it; `npm run dev` passes calls on to a running api.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { loadEnv, type ProxyOptions } from "vite";
import { defineConfig } from "vitest/config";

const { HEADRACE_URL: api = "http://127.0.0.1:8000" } = loadEnv("development", ".", "HEADRACE_");

// The Host stays the page's own, so that the api sees page and socket as one origin.
const pass: ProxyOptions = { target: api, changeOrigin: false };

// A browser that navigates to /jobs/ID wants the page; a program wants the record.
const passUnlessNavigating: ProxyOptions = {
  ...pass,
  bypass: (request) => (request.headers.accept?.includes("text/html") ? "/index.html" : undefined),
};

export default defineConfig({
  plugins: [svelte({ configFile: false })],
  build: {
    outDir: "../api/src/headrace/api/page",
    emptyOutDir: true,
    // The content security policy lets images be data:, and nothing else.
    assetsInlineLimit: 0,
    target: "es2022",
  },
  server: {
    proxy: {
      "/jobs": passUnlessNavigating,
      "/runs": { ...passUnlessNavigating, ws: true },
      "/pipelines": pass,
      "/admin": pass,
      "/models": passUnlessNavigating,
      "/batches": passUnlessNavigating,
      "/webhooks": passUnlessNavigating,
      "/deletions": pass,
      "/blobs": pass,
      "/health": pass,
      "/ws": { ...pass, ws: true },
    },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
