"""The accelerated operations: same names, parameters and results as the specification."""
