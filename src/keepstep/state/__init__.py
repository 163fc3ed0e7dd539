"""What we know, a customer at a time: plain functions of a connection over the tables. Callers hold the slot when they
write."""
