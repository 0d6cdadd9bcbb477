"""How the emoji model that Headrace ships was trained."""
