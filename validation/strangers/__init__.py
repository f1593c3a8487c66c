"""What everything that reads from strangers needs: their text made fit to be shown, their files."""
