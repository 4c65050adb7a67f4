"""Ray machines: their definitions and the commands that bring them up and take them down."""
