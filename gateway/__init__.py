"""The hall's server: intake, ledger, and the projections that leave it."""
