"""The tables, their states and transitions, and the migrations that make them."""
