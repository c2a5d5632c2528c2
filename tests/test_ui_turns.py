"""Who may compute."""

from var.ui.turns import Line, RunControl, StopSignals


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
    assert [images.begin("a"), edit.begin("a")] == [0, 1]
    edit.stop("a")
    with images.turn("a") as stop:
        assert not stop.is_set() and edit.before("a") == 1
    with edit.turn("a") as stop:
        assert stop.is_set()
