"""Certified values: what refglow's functions are in truth, to the last bit of the number type.

The specification runs on balls (`ball.py`), with more and more bits until all numbers that a ball
holds round to the same floating-point number (`nearest.py`). Needs the extra `[certify]`.
"""
