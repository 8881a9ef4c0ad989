"""``ferryman demo``: real data, a real day of changes, real crashes, and proof that nothing was lost or done twice."""
