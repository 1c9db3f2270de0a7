"""The inference core measured: beside its peers, alone, in a crowd, as it grows. `tools/bench_inference.py` runs it."""
