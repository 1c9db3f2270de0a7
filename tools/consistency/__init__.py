"""The parts of tools/eval_consistency.py: what is asked, how it is run, how replies are checked and summed up."""
