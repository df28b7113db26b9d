# SPDX-License-Identifier: Apache-2.0
"""Ids are given out once: in one process, over its threads, and over its forks."""

import os
import re
import threading

from pypow_server.fresh import decision_id, fresh_id


def test_no_id_comes_twice_in_one_process() -> None:
    ids = [fresh_id() for _ in range(2000)]
    assert {len(one) for one in ids} == {16}
    assert len(set(ids)) == 2000


def test_a_decision_id_is_16_hex_digits() -> None:
    ids = {decision_id() for _ in range(300)}
    assert len(ids) == 300
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)


def test_threads_share_no_id() -> None:
    found: list[bytes] = []

    def draw() -> None:
        found.extend([fresh_id() for _ in range(2000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8000


def test_a_fork_gives_out_ids_of_its_own() -> None:
    fresh_id()  # the pool is filled before the fork
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(fresh_id() for _ in range(64)))
        os._exit(0)
    os.close(writing)
    theirs = b""
    while len(theirs) < 64 * 16 and (more := os.read(reading, 4096)):
        theirs += more
    os.close(reading)
    os.waitpid(child, 0)
    ids = {theirs[at : at + 16] for at in range(0, len(theirs), 16)}
    assert len(ids) == 64
    assert not ids & {fresh_id() for _ in range(512)}
