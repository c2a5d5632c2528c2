"""The one door to computing: models in memory, the line of those who wait, runs, previews. It knows no page."""
