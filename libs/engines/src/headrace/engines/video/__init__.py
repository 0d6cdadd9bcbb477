"""The small video engine that Headrace ships: an emoji-like picture that moves, from a prompt."""
