"""Work that processes of a crew do in tests: they find it by its name."""

import os
import time
from typing import Any


def doubled(number: int) -> tuple[int, str, int]:
    return 2 * number, os.environ["PYTHONHASHSEED"], os.getpid()


def odd_ones_die(number: int) -> int:
    if number % 2:
        os._exit(3)
    return number


def three_hangs(number: int) -> int:
    if number == 3:
        time.sleep(600)
    return number


def again_if_ten(number: int, _answer: Any) -> int | None:
    return number + 1 if number % 10 == 0 else None
