"""Training on a folder of images: first the tokenizer (VQVAE), then the transformer on its tokens."""
