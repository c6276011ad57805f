import os
import signal
import threading

import pytest

from training.loop.stopping import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_request_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = StopRequest()
    with stop.on_signals():
        os.kill(os.getpid(), number)
        assert stop.signal == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_at_once() -> None:
    stop = StopRequest()
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_can_ask_but_not_listen() -> None:
    stop = StopRequest()

    def listen() -> None:
        with stop.on_signals():
            stop.set()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert stop.signal == signal.SIGTERM
