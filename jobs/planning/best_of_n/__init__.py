"""Best of n: the conditions whose answers are chosen among samples, and what of it is done."""
