"""Who may compute."""

from var.engine.queue import Line, RunControl, StopSignals


def test_a_stop_reaches_its_own_session_alone():
    signals = StopSignals()
    signals.renew("a")
    signals.renew("b")
    signals.stop("a")
    assert signals.of("a").is_set() and not signals.of("b").is_set()


def test_a_new_run_forgets_an_earlier_stop():
    signals = StopSignals()
    signals.stop("a")
    signals.renew("a")
    assert not signals.of("a").is_set()


def test_the_line_tells_how_many_come_first():
    line = Line()
    for session in "abc":
        line.join(session)
    assert [line.before(session) for session in "abc"] == [0, 1, 2]


def test_who_has_the_model_comes_before_those_who_wait():
    line = Line()
    line.join("a")
    line.join("b")
    with line.turn("a"):
        assert line.before("b") == 1 and line.before("a") is None
    assert line.before("b") == 0


def test_who_leaves_the_line_holds_up_nobody():
    line = Line()
    line.join("a")
    line.join("b")
    line.leave("a")
    assert line.before("b") == 0


def test_the_tabs_of_a_session_are_stopped_apart():
    line = Line()
    images, edit = RunControl(line, "images"), RunControl(line, "edit")
    assert [images.begin("a", "first"), edit.begin("a", "second")] == [0, 1]
    with images.turn("a") as (asked, stop):
        assert asked == "first" and edit.before("a") == 1
        assert not images.stop("a") and stop.is_set()
    with edit.turn("a") as (asked, stop):
        assert asked == "second" and not stop.is_set()


def test_a_run_that_waits_is_called_off():
    control = RunControl(Line(), "images")
    control.begin("a", "first")
    control.begin("b", "second")
    assert control.stop("a") and control.before("a") is None and control.before("b") == 0
    with control.turn("a") as turn:
        assert turn is None


def test_what_is_asked_last_is_made():
    control = RunControl(Line(), "images")
    control.begin("a", "first")
    control.stop("a")
    control.begin("a", "second")
    with control.turn("a") as (asked, stop):
        assert asked == "second" and not stop.is_set()
    with control.turn("a") as turn:  # the first one's
        assert turn is None
