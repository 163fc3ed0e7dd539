"""Deterministic simulation: the whole product against both stand-ins, in one process, on a seeded virtual clock.

loop.py       the event loop: no selector, no wall clock; the seed chooses who runs next
story.py      the log that checkers read, and a source of chance for every label
chaos.py      what goes wrong in a seed, and where: faults of calls and commits, crashes
disk.py       the database of one seed: faults around every commit, and what each commit touched
town.py       one customer's vendors, the people in them, and what people and staff do
network.py    the HTTP port: vendors called straight, with faults at three points of each call
process.py    one incarnation of the product, and its death
checkers.py   invariants as pure functions of the log; rounds.py: the one about polls
run.py        one seed from chaos to quiescence
hands.py      a simulation that a test drives act by act; bothways.py: what must hold between two sides that both change
sweep.py      one short scenario with a crash at every point
"""
