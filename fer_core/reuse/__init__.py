"""One built graph for all weights: where a converter puts each weight, and new ones in their places."""
