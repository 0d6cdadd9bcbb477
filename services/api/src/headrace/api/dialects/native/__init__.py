"""Our own flavour: `/jobs` and what belongs to it, with RFC 9457 problems."""
