"""What a study.toml says of its faces where no stage looks at them."""

NO_FACES = """
[data]
evaluation = { layout = "cafe", path = "nowhere" }

[[data.training]]
layout = "folders"
path = "nowhere"
"""
