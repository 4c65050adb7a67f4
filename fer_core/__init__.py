"""Learning: data sets, networks, training, compression, export to TFLite, scoring."""
