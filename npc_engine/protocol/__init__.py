"""The wire as data and tables: messages, codec and turn state. No I/O, no clock."""
