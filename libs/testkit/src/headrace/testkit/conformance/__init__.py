"""One class of promises for each port; an adapter is bound by subclassing it and giving it the fixture."""
