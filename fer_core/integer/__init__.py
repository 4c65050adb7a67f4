"""Networks as int8 kernels compute them: which values are stored, on which grids, and which tensor has which."""
