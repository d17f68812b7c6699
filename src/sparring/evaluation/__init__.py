"""The judge: opens what is to be compared, takes features, measures, and says by which protocol."""
