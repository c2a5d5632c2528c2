"""The page: panels split by what a user sees, over one model that all sessions share."""
