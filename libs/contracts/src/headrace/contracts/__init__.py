"""What crosses a process boundary: ids, versioned messages, stream frames, topology names."""
