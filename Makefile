# Everything is in tools/dev.py, which runs on any system: python tools/dev.py demo | test | play
PYTHON ?= python3

.PHONY: help demo test play setup
help demo test play setup:
	@$(PYTHON) tools/dev.py $@
