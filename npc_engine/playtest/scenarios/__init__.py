"""Scenarios: talks beside a sheet that say what must come of them. Their schema, reading, checking and writing."""
