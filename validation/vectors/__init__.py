"""Golden vectors: inputs and true results for every implementation, in any language.

A vector says what to compute (`operations.py`), on which numbers, what the results are to the last
bit (`results.py`), and which mistakes it is there to catch (`flags.py`). They are listed in
`catalogue/`.
"""
