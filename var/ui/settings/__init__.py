"""The settings of a run: classes, sampling, seeds, presets, links."""
