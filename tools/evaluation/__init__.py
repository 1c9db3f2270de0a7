"""What the evaluation programs share: rates with intervals, records that survive a stop, a dialogue to talk to."""
