"""Actions a sheet or a game declares, and the constrained choice among them."""
