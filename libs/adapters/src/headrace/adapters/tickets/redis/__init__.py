"""Tickets by Redis: any replica may take what another has kept."""
