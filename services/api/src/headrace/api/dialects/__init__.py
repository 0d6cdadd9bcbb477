"""HTTP flavours over the one job core: each a folder of routes, schemas, translation and errors."""
