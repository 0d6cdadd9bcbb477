"""The small image model that Headrace ships: it draws emoji-like pictures from a prompt."""
