"""Bad rules files: a sample of the 2,000 that `python tests/benchmarks/bench_rule_mutations.py` tries."""

import pytest
from rule_mutations import GOOD, NOISE, SLIPS, mutant, outcome, run

from gridtone.documents import parse_document
from gridtone.rules import Rules


def test_the_file_that_is_mutated_is_good():
    run(parse_document(GOOD, Rules))


@pytest.mark.parametrize("kind", sorted(SLIPS))
def test_what_is_wrong_whatever_else_is_said_is_refused_where_it_stands(kind: str):
    numbers = [number for number in range(1, 6 * len(SLIPS), 2) if mutant(number)[0] == kind]
    assert len(numbers) == 3
    assert {outcome(number) for number in numbers} == {"refused"}


@pytest.mark.parametrize("kind", sorted(NOISE))
def test_noise_is_refused_at_a_line_and_a_column_or_leaves_rules_that_run(kind: str):
    numbers = [number for number in range(0, 14 * len(NOISE), 2) if mutant(number)[0] == kind]
    assert len(numbers) == 7
    assert {outcome(number) for number in numbers} <= {"refused", "accepted"}
