"""Where models come from: catalogue, fetch, graph builder, tokenizer."""
