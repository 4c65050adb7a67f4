"""The routes, by who uses them: everybody reads, searches measure, operators operate, hosts work, people look."""
