"""A process that stores and reads secrets until it is told to stop: what a service does while keys are replaced.

python -m tests.state.storing URL KEY_FILE CUSTOMER STOP_FILE; prints how many it stored and what went wrong.
"""

import json
import os
import sys
import time
from pathlib import Path

from keepstep.database import engine_of
from keepstep.state import customers, places
from keepstep.state.keys import KeyFile
from keepstep.state.vault import Secret, Vault

PAUSE = 0.002
FIELDS = [f"field_{number}" for number in range(6)]


def main(url: str, key_file: str, customer: str, stop: str) -> None:
    engine, file = engine_of(url), KeyFile(Path(key_file))
    ring = file.read()
    vault = Vault(ring.keys, ring.current, os.urandom, file)
    wrong: list[str] = []
    stored = 0
    with engine.begin() as tx:
        customers.add(tx, customer, {}, 1.0)
    while not Path(stop).exists():
        field, text = FIELDS[stored % len(FIELDS)], f"{customer}-{stored}"
        try:
            with engine.begin() as tx:
                places.lock(tx, customer)
                vault.put(tx, customer, "virtuous", field, Secret(text), float(stored))
            stored += 1
            with engine.begin() as tx:
                found = vault.get(tx, customer, "virtuous", field)
            if found is None or found.reveal() != text:
                wrong.append(f"{field} is not what was stored")
            # SQLite's waiters are not served in turn: who takes the lock again at once keeps all others out by chance.
            time.sleep(PAUSE)
        except Exception as error:
            wrong.append(repr(error))
            break
    engine.dispose()
    print(json.dumps({"stored": stored, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
