"""The arithmetic phone: how a simulated Moto G6 heats up, drifts, is disturbed and fails. No clocks, no drivers."""
