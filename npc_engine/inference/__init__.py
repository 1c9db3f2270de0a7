"""Decoder and encoder inference on ONNX Runtime. Knows nothing of sheets or sockets."""
