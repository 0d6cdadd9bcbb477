"""OpenAI's API: what its clients ask for, done by jobs like any other."""
