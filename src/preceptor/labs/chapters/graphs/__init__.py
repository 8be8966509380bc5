"""Back-propagation and computational graphs."""
