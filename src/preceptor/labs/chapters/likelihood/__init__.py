"""Linear models, likelihood and losses."""
