"""A scripted server on real sockets, for tests of client libraries; bindings/CONFORMANCE.md says what it does."""
