"""Deterministic simulation: the whole product against both stand-ins, in one process, on a seeded virtual clock.

loop.py       the event loop: no selector, no wall clock; the seed chooses who runs next
story.py      the log that checkers read, and a source of chance for every label
script.py     what a seed draws, each draw with a label of its own: any of them can be struck out
chaos.py      what goes wrong in a seed, and where: faults of calls and commits, crashes
swarm.py      which safety nets a seed has, how often the product looks, what its route says
deeds.py      what people and staff do, and by which road each deed is seen
mishaps.py    pauses, second processes, jumps of our clock, an older disk; operators.py: whoever runs the service;
              visitors.py: who else comes to the door
disk.py       the database of one seed; witness.py: which rows each transaction really changed
town.py       one customer's vendors, the people in them, and what people and staff do
network.py    the HTTP port: vendors called straight, with faults at three points of each call
process.py    one incarnation of the product, and its death; holding.py: for whom it is at work
invariants    what must hold, as pure functions of the story
marks.py      what must happen sometimes; courses.py: the marks that take more than one fact
run.py        one seed from chaos to quiescence
hands.py      a simulation that a test drives act by act; bothways.py: what must hold between two sides that both change
shrink.py     the smallest story of a seed that breaks something; narrative.py tells it, wording.py has the words
sweep.py      one short scenario with a crash at every point
"""
