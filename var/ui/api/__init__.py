"""The endpoints for gradio_client."""
