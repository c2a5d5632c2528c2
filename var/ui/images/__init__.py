"""The Images tab: a run, its images, the one looked at."""
