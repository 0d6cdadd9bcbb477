"""The soak: steady mixed work under rare faults for a long time, and whether anything grows."""
