"""The Hugging Face Hub: addresses, published models, downloads, and what goes wrong on the way."""
