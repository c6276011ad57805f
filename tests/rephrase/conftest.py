import pytest
import stamina


@pytest.fixture
def quick_retries(monkeypatch):
    """What is retried with growing pauses is retried almost at once."""
    retry_context = stamina.retry_context

    def quick(**options):
        return retry_context(**{**options, "wait_initial": 0.01, "wait_jitter": 0.01})

    monkeypatch.setattr(stamina, "retry_context", quick)
