"""A model as a folder, for a Glow in any language, and judging what it wrote there.

    refglow validate --export DIR      writes the model, its inputs and what they mean
    refglow validate --results DIR     judges DIR/results

FOLDER.md, which becomes the folder's README.md, explains it to a programmer.
"""
