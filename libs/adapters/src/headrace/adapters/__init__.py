"""The technologies behind the ports: one folder a port, one module a technology, none importing another."""
