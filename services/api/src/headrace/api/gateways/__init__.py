"""From the log of a job to a client, live: Server-Sent Events and WebSocket over one `watch`."""
