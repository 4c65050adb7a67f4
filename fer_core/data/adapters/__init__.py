"""One adapter a set: a pure function from a folder, as its owner handed it out, to a listing of typed examples."""
