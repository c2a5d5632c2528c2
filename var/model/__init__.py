"""The networks: sizes, transformer, VQVAE and its multi-scale quantizer."""
