"""Compression of trained networks: pruning, weight clustering, and what quantization needs."""
