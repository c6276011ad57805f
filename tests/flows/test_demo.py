"""The demo: real documents at hand, and a short training at its end that resumes and shows its table."""

from rich.console import Console
from synthetic_run import documents, write_run

from flows import demo


def test_its_documents_are_prose_from_installed_packages():
    records = demo.packaged_documents()
    assert len(records) > 10
    assert len({record["id"] for record in records}) == len(records)
    for record in records:
        assert record["title"]
        for paragraph in record["text"].split("\n\n"):
            assert len(paragraph) >= demo.MIN_PARAGRAPH_CHARACTERS
            assert paragraph[-1] in ".!?"


def test_it_trains_on_its_shards_and_shows_what_each_style_taught(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "N_STEPS", 2)
    monkeypatch.setattr(demo, "ROW_LENGTH", 64)
    shards = write_run(tmp_path / "shards", documents(20))
    for _ in range(2):  # the second time there is nothing left to do
        console = Console(record=True, width=120)
        demo.train_on(shards, str(tmp_path / "training"), console)
        said = console.export_text()
        assert "2 steps, 512 tokens" in said
        assert "original" in said
