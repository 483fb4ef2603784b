"""The last hours of the signals, as a dashboard shows them."""

from gridtone.trend import KEPT, STEP_SECONDS, Trends


def test_samples_are_kept_in_order_with_gaps_and_the_oldest_are_forgotten():
    trends = Trends()
    for i in range(KEPT + 10):
        trends.record({"load": None if i == KEPT else float(i)}, 1000 + i * STEP_SECONDS)
        trends.record({"load": -1.0}, 1000 + i * STEP_SECONDS + 0.25)
    times, values = trends.between("load", 0, 1e9)
    assert len(times) == KEPT
    assert times == sorted(times)
    assert values[0] == 10.0
    assert values[-1] == KEPT + 9
    assert values[-10] is None
    assert trends.between("load", times[5], times[8]) == (times[5:8], values[5:8])


def test_samples_go_along_with_a_clock_that_is_set_back():
    trends = Trends()
    trends.record({"load": 1.0}, 10_000)
    trends.set_back(3600)
    trends.record({"load": 2.0}, 6400 + STEP_SECONDS)
    assert trends.between("load", 0, 6500) == ([6400, 6400 + STEP_SECONDS], [1.0, 2.0])


def test_signals_come_and_go_with_the_rules():
    trends = Trends()
    trends.record({"old": 1.0}, 0.0)
    trends.record({"new": 2.0}, 10.0)
    assert trends.between("new", 0, 99) == ([0.0, 10.0], [None, 2.0])
    trends.record({"old": 3.0, "new": 4.0}, 20.0)
    assert trends.between("old", 0, 99)[1] == [None, None, 3.0]
    assert Trends().between("any", 0, 99) == ([], [])
