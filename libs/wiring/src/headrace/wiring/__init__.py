"""The composition root: settings, from a mode to the recipes it means, roles and their lifecycle."""
