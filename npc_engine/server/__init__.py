"""The only files that open sockets for listening."""
