"""A target is reached with little overshoot."""

from rephrase.scheduling.target import Target


def test_without_a_number_every_chain_may_start():
    assert Target().may_start_chain(10**9)
    assert not Target().reached


def test_no_more_chains_start_than_will_probably_be_needed():
    target = Target(1000, expected_chunk_tokens=100)
    assert target.may_start_chain(9)
    assert not target.may_start_chain(10)
    # Chunks turn out to give 50 tokens each.
    for _ in range(10):
        target.add_chunk(0, "a", 50)
    assert target.may_start_chain(8)
    assert not target.may_start_chain(10)
    target.finish_chain(0, "a", 500)
    assert target.n_finished == 500
    assert target.may_start_chain(8)
    assert not target.may_start_chain(10)


def test_it_counts_what_is_finished_over_all_parts_and_sessions():
    target = Target(1000)
    target.set_part(0, 600)  # committed before
    target.add_chunk(1, "a", 300)
    target.finish_chain(1, "a", 300)
    assert not target.reached
    target.set_part(1, 400)
    assert target.reached
    target.set_part(0, 500)  # a variant was rejected at the commit
    assert target.n_finished == 900
    assert not target.reached


def test_a_chain_that_ends_with_more_or_less_than_its_chunks_had_leaves_nothing_behind():
    target = Target(1000, expected_chunk_tokens=100)
    for chain in range(20):
        target.add_chunk(0, chain, 100)
        target.finish_chain(0, chain, 0)  # its document is rejected as a whole
    assert target.n_finished == 0
    assert target.may_start_chain(0)
    target.add_chunk(0, 20, 0)
    target.finish_chain(0, 20, 1000)
    assert not target.may_start_chain(0)
