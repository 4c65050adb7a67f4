"""The five networks: built from a spec, given weights, rewritten for export."""
