"""Studies: the space, the stages, the study, the ledger and the front."""
