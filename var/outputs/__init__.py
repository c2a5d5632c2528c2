"""What leaves with an image: its recipe in the PNG, and zip files of many."""
