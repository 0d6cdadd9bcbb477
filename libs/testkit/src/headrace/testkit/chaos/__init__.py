"""Breaking things on purpose: proxies, crash points, ledgers, the checker and the nemesis."""
