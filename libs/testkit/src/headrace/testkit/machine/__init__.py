"""One model of a bad day, played by hypothesis on any store, bus and streams: rules, and what must hold."""
