"""Suggested edits of the user's own code, as unified diffs: one short editor for each change and cause."""
