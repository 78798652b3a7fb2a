"""The life of a workload's process, without processes: the rules of `edge_agent.supervisor.life`."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.supervisor import life as lives
from edge_agent.supervisor.life import Bundle, Life, State
from edge_agent.tables import Limits
from edge_agent.workloads.messages import Exit

LIMITS = Limits(
    start=30, hang=20, drain=10, steady=100, first_wait=1, longest_wait=8, crashes=3
)  # fmt: skip
A, B, C = (Bundle(f"{x}.bundle", x * 64) for x in "abc")


class Lived:
    """A life at work, and what was asked for since one last looked."""

    def __init__(self, *offered):
        self.life, self.now, self._effects = Life(), 0.0, []
        if offered:
            self.feed(lives.Offered(offered))

    def feed(self, event, after=0.0):
        self.now += after
        self.life, effects = lives.step(self.life, event, self.now, LIMITS)
        self._effects += effects
        return self

    def asked(self):
        effects, self._effects = self._effects, []
        return [e for e in effects if not isinstance(e, lives.Report)]

    def reports(self):
        return [e.event for e in self._effects if isinstance(e, lives.Report)]

    def running(self):
        self.feed(lives.Ready())
        self._effects.clear()
        return self

    def dies(self, code=-11, after=0.0):
        return self.feed(lives.Exited(code, "words"), after)


def test_it_waits_for_a_bundle_and_begins():
    lived = Lived()
    assert lived.feed(lives.Tick(), 1000).asked() == []
    assert lived.feed(lives.Offered((A,))).asked() == [lives.Spawn(A)]
    lived.feed(lives.Ready())
    assert (lived.life.state, lived.reports()) == (State.RUNNING, ["ready"])


def test_what_dies_is_started_again_after_a_wait_that_doubles():
    lived = Lived(A, B)
    waits = []
    for _ in range(2):
        lived.running().dies()
        assert lived.asked() == []
        begun = lived.now
        while not lived.feed(lives.Tick(), 0.5).asked():
            pass
        waits.append(lived.now - begun)
    assert waits == [1, 2]
    assert lived.life.bundle == A


def test_a_crash_loop_is_reported_once_and_the_last_good_bundle_steps_in():
    lived = Lived(A, B)
    for _ in range(3):
        lived.feed(lives.Tick(), 10).running().dies()
    assert lived.reports() == ["crashed", "crash_loop"]
    assert lived.asked() == [lives.Spawn(B)]
    lived.running()
    assert lived.life.error == "died 3 times in a row: ended with signal 11: words"
    assert lived.feed(lives.Offered((A, B))).asked() == [], "A has failed here"
    assert lived.feed(lives.Offered((C, B))).asked() == [lives.Terminate()]
    assert lived.dies(0).asked() == [lives.Spawn(C)]


def test_with_nothing_to_step_in_it_is_tried_at_the_longest_wait():
    lived = Lived(A)
    for _ in range(3):
        lived.feed(lives.Tick(), 10).running().dies()
    assert lived.feed(lives.Tick(), 7.9).asked() == []
    assert lived.feed(lives.Tick(), 0.2).asked() == [lives.Spawn(A)]
    lived.running().dies()
    assert lived.reports() == ["crashed"], "the loop is not told again"


def test_deaths_long_apart_are_no_loop():
    lived = Lived(A)
    for _ in range(9):
        lived.feed(lives.Tick(), 10).running().dies(after=101)
    assert "crash_loop" not in lived.reports()


def test_a_bundle_that_refuses_itself_is_not_tried_again():
    lived = Lived(A, B).dies(Exit.REFUSED)
    assert lived.reports() == ["refused"]
    assert lived.asked() == [lives.Spawn(A), lives.Spawn(B)]
    lived = Lived(A).dies(Exit.REFUSED)
    lived.asked()
    assert lived.feed(lives.Tick(), 1e6).asked() == []
    assert (lived.life.state, lived.life.error) == (State.WAITING, "words")
    assert lived.feed(lives.Offered((C,))).asked() == [lives.Spawn(C)]


def test_a_source_that_cannot_be_had_blames_no_bundle():
    lived = Lived(A, B)
    for _ in range(20):
        lived.feed(lives.Tick(), 10).dies(Exit.SOURCE)
    assert set(lived.reports()) == {"source"}
    assert set(lived.asked()) == {lives.Spawn(A)}


def test_one_that_says_nothing_is_killed_and_has_died():
    lived = Lived(A)
    lived.asked()
    assert lived.feed(lives.Tick(), 29).asked() == []
    lived.running()
    assert lived.feed(lives.Tick(), 19).asked() == []
    assert lived.feed(lives.Beat()).feed(lives.Tick(), 19).asked() == []
    assert lived.feed(lives.Tick(), 1).asked() == [lives.Kill()]
    assert lived.feed(lives.Tick(), 1).asked() == [], "killed once"
    assert lived.dies(-9).reports() == ["hung"]
    assert lived.life.deaths == 1


def test_one_that_does_not_start_is_killed():
    lived = Lived(A).feed(lives.Tick(), 30)
    assert lived.asked() == [lives.Spawn(A), lives.Kill()]


def test_a_source_that_stays_away_is_told_of_once_and_again_after_it_was_back():
    lived = Lived(A)
    lived.dies(Exit.SOURCE)
    for _ in range(5):
        lived.feed(lives.Tick(), 10).dies(Exit.SOURCE)
    assert lived.reports() == ["source"]
    assert lived.asked() == [lives.Spawn(A)] * 6
    lived.feed(lives.Tick(), 10).running().dies(Exit.SOURCE)
    assert lived.reports() == ["source"]
    lived.feed(lives.Tick(), 10).feed(lives.Exited(Exit.SOURCE, "something else"))
    assert lived.reports() == ["source", "source"]


def test_a_source_that_is_over_ends_it_until_the_settings_change():
    lived = Lived(A).running().dies(Exit.OVER)
    assert (lived.life.state, lived.reports()) == (State.ENDED, ["over"])
    assert lived.feed(lives.Offered((C,))).feed(lives.Tick(), 1e6).asked() == []
    assert lived.feed(lives.Changed()).asked() == [lives.Spawn(C)]


def test_new_settings_forgive():
    lived = Lived(A).dies(Exit.REFUSED)
    lived.asked()
    assert lived.feed(lives.Changed()).asked() == [lives.Spawn(A)]
    assert lived.running().feed(lives.Changed()).asked() == [lives.Terminate()]
    assert lived.dies(0).asked() == [lives.Spawn(A)]
    assert lived.life.deaths == 0


def test_a_new_bundle_is_taken_at_once_while_it_rests():
    lived = Lived(A).running().dies()
    assert lived.feed(lives.Offered((C,))).asked() == [lives.Spawn(C)]


def test_a_bundle_that_is_gone_runs_on():
    assert Lived(A).running().feed(lives.Offered(())).asked() == []


def test_what_does_not_end_in_time_is_killed():
    lived = Lived(A).running().feed(lives.Stop())
    assert lived.asked() == [lives.Terminate()]
    assert lived.feed(lives.Tick(), 9).asked() == []
    assert lived.feed(lives.Tick(), 1).asked() == [lives.Kill()]
    assert lived.dies(-9).life.state is State.GONE
    assert lived.reports() == []


EVENTS = st.one_of(
    st.just(lives.Ready()),
    st.just(lives.Beat()),
    st.just(lives.Tick()),
    st.just(lives.Changed()),
    st.builds(lives.Exited, st.sampled_from([0, 1, 3, 4, -9, -11])),
    st.builds(lives.Offered, st.lists(st.sampled_from([A, B, C]), unique=True).map(tuple)),
)


@given(st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 0.5, 5.0, 25.0, 200.0])), max_size=60))
def test_whatever_happens_there_is_one_process_and_it_hears_again(history):
    lived, alive = Lived(), False
    for event, after in history:
        if isinstance(event, lives.Exited):
            if not alive:
                continue
            alive = False
        for effect in lived.feed(event, after).asked():
            if isinstance(effect, lives.Spawn):
                assert not alive, "two processes"
                alive = True
            else:
                assert alive, "nothing to end"
        assert alive == (lived.life.state in lives.ALIVE)
    # Left alone with a bundle that works, it runs before long.
    sound = dataclasses.replace(A, digest="d" * 64)
    lived.feed(lives.Offered((sound,)))
    for _ in range(40):
        if lived.life.state is State.ENDED:
            lived.feed(lives.Changed())
        if lived.life.state is State.STOPPING:
            lived.feed(lives.Exited(0))
        elif lived.life.state is State.STARTING:
            lived.feed(lives.Ready())
        else:
            lived.feed(lives.Beat()).feed(lives.Tick(), 10)
    assert (lived.life.state, lived.life.bundle) == (State.RUNNING, sound)
