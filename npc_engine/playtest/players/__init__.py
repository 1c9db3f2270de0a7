"""Players that no author wrote: they are made from what a sheet shows anybody, by a seed."""
