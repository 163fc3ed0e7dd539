"""Deterministic simulation: the whole product against both stand-ins, in one process, on a seeded virtual clock.

loop.py       the event loop: no selector, no wall clock; the seed chooses who runs next
story.py      the log that checkers read, the dice, and what goes wrong where
disk.py       the database of one seed: faults around every commit, and what each commit touched
town.py       one customer's vendors, the people in them, and what people and staff do
network.py    the HTTP port: vendors called straight, with faults at three points of each call
process.py    one incarnation of the product, and its death
checkers.py   invariants as pure functions of the log
run.py        one seed from chaos to quiescence
"""
