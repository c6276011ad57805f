"""Every record of every file comes out once: as a document, or with the reason why it is not usable."""

import datetime
import decimal
import gzip
import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import Fields, Position, ReadOptions, count_records, read_file
from rephrase.records import Document, UnreadableRecord


def read(path, options=ReadOptions(), start=Position()):
    files, _ = list_inputs(str(path))
    return [record for file in files for record, _ in read_file(file, options, start)]


def reasons(records):
    return [record.reason if isinstance(record, UnreadableRecord) else "document" for record in records]


ROWS = [{"id": f"d{i}", "text": f"Text {i} ä 中 🎈.", "title": f"T{i}"} for i in range(50)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


@pytest.fixture(
    params=["docs.jsonl", "docs.jsonl.gz", "docs.jsonl.zst", "docs.parquet", "c4.json.gz", "DOCS.JSONL.ZST"]
)
def rows_file(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(LINES))
    elif path.suffix.lower() == ".zst":
        path.write_bytes(zstandard.compress(LINES))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=7)
    else:
        path.write_bytes(LINES)
    return path


def test_each_format_gives_the_same_documents(rows_file):
    documents = read(rows_file)
    assert [(d.id, d.text, d.title, d.record) for d in documents] == [
        (row["id"], row["text"], row["title"], i) for i, row in enumerate(ROWS)
    ]
    assert count_records(list_inputs(str(rows_file))[0][0]) == 50


@pytest.mark.parametrize("stop", [1, 7, 8, 49])
def test_reading_resumes_from_a_position(rows_file, stop):
    (file,), _ = list_inputs(str(rows_file))
    records = list(read_file(file, ReadOptions()))
    after = records[stop - 1][1]
    assert [record.id for record, _ in read_file(file, ReadOptions(), after)] == [row["id"] for row in ROWS[stop:]]


def test_text_files_of_a_folder_are_in_order_and_others_are_named(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ["b.md", "a.txt", "sub/c.tex", "d.pdf"]:
        (tmp_path / name).write_text(f"text of {name}", encoding="utf-8")
    files, skipped = list_inputs(str(tmp_path))
    assert [file.name for file in files] == ["a.txt", "b.md", "sub/c.tex"]
    assert skipped == ["d.pdf"]
    documents = read(tmp_path)
    assert [d.text for d in documents] == ["text of a.txt", "text of b.md", "text of sub/c.tex"]
    assert len({d.id for d in documents}) == 3


def test_ids_do_not_depend_on_the_location_of_the_corpus(tmp_path):
    for folder in ["x", "y"]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    first, second = read(tmp_path / "x"), read(tmp_path / "y")
    assert [d.id for d in first] == [d.id for d in second]
    assert first[0].id != first[1].id


BAD_LINES = {
    b'{"text": "fine"}': "document",
    b'{"title": "no text"}': "missing_text",
    b'{"text": null}': "null_text",
    b'{"text": ""}': "empty_text",
    b'{"text": " \\n "}': "empty_text",
    b'{"text": 5}': "not_text",
    b'{"text": "half \\ud800 pair"}': "invalid_unicode",
    b'{"text": "not \xff UTF-8"}': "invalid_utf8",
    b'{"text": "cut off': "invalid_json",
    b'["a", "list"]': "not_an_object",
    b'{"id": {"a": 1}, "text": "x"}': "bad_id",
    b'{"id": 7, "text": "number as id"}': "document",
    b'{"text": "' + b"x" * 10_000_000 + b'"}': "document_too_long",
    b"[" * 100_000: "invalid_json",
    b'{"text": "\\u200b \\ufeff\\u0000"}': "empty_text",
    b"\0" * 4096: "invalid_utf8",
}


def test_a_bad_line_is_rejected_with_a_reason_and_the_rest_is_read(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(BAD_LINES))
    records = read(path)
    assert reasons(records) == list(BAD_LINES.values())
    for record in records:
        assert record.source == "bad.jsonl"
        assert record.document_id if isinstance(record, UnreadableRecord) else record.id
        record.text.encode()  # what is kept can be written to a file
    assert "half" in records[6].text
    assert "not \\xff UTF-8" in records[7].text


def test_bad_bytes_and_nulls_in_parquet_are_rejected(tmp_path):
    texts = pa.array([b"good", b"bad \xff", None, b"good again"], pa.binary())
    strings = pa.StringArray.from_buffers(4, texts.buffers()[1], texts.buffers()[2], texts.buffers()[0], 1)
    pq.write_table(pa.table({"text": strings}), tmp_path / "a.parquet")
    records = read(tmp_path / "a.parquet")
    assert reasons(records) == ["document", "invalid_utf8", "null_text", "document"]
    assert records[1].text == "bad \\xff"


def test_a_text_file_that_is_not_utf8_is_rejected(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    assert reasons(read(tmp_path)) == ["invalid_utf8"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz"])
def test_utf16_is_no_text_with_zeros_and_the_cure_is_named(tmp_path, name, encoding):
    data = '{"text": "one"}\n{"text": "two"}\n'.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    records = read(tmp_path)
    assert set(reasons(records)) == {"invalid_utf8"}
    assert "`iconv -f UTF-16 -t UTF-8` converts it" in records[0].detail


def test_a_file_of_zeros_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\0" * 4096)
    (record,) = read(tmp_path)
    assert (record.reason, record.detail) == ("invalid_utf8", "it is all NULs, as after a power cut")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_truncated_file_is_reported_after_what_could_be_read(tmp_path, name):
    path = tmp_path / name
    noise = "".join(json.dumps({"text": f"{i * 7919 % 104729:x} " * 30}) + "\n" for i in range(5000)).encode()
    if name.endswith("gz"):
        data = gzip.compress(noise)
    elif name.endswith("zst"):
        data = zstandard.compress(noise)
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = reasons(read(path))
    assert found[-1] == "unreadable_file"
    assert found.count("unreadable_file") == 1


def test_fields_are_found_by_expression_and_lists_joined(tmp_path):
    row = {"title": "T", "paragraphs": [{"context": "One."}, {"context": "Two."}], "meta": {"lang": "en", "key": 3}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    options = ReadOptions(
        fields=Fields(text="paragraphs[].context", id="meta.key", language="meta.lang", metadata=("meta",))
    )
    (document,) = read(tmp_path / "a.jsonl", options)
    assert isinstance(document, Document)
    assert (document.text, document.id, document.language) == ("One.\n\nTwo.", "3", "en")
    assert document.metadata == {"meta": {"lang": "en", "key": 3}}


def test_an_invalid_expression_is_named():
    with pytest.raises(ValueError, match="--text-field 'a\\[' is neither a field name"):
        Fields(text="a[")


def test_a_missing_source_and_a_folder_of_other_files_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to read"):
        list_inputs(str(tmp_path / "none.jsonl"))
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(ValueError, match=r"no file .* end in .*\.jsonl.*found a\.pdf"):
        list_inputs(str(tmp_path))


@pytest.mark.parametrize(("name", "compress"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstandard.compress)])
def test_a_file_of_several_compressed_members_is_read_whole(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(b'{"text": "one"}\n') + compress(b'{"text": "two"}\n'))
    assert [document.text for document in read(tmp_path)] == ["one", "two"]


def test_a_name_that_is_not_an_expression_is_a_field(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"my text": "x", "raw-id": 3.0}', encoding="utf-8")
    (document,) = read(tmp_path, ReadOptions(fields=Fields(text="my text", id="raw-id")))
    assert (document.text, document.id) == ("x", "3")


def test_a_lone_surrogate_in_metadata_can_be_written(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "m": {"k": "\\ud800"}}', encoding="utf-8")
    (document,) = read(tmp_path, ReadOptions(fields=Fields(metadata=("m",))))
    json.dumps(document.metadata, ensure_ascii=False).encode()


def test_values_that_python_cannot_represent_are_rejected_and_the_rest_is_read(tmp_path):
    far = pa.array([0, 2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a", "b"], "when": far}), tmp_path / "a.parquet")
    records = read(tmp_path, ReadOptions(fields=Fields(text="text || when")))
    assert reasons(records) == ["document", "bad_value"]


def test_deeply_nested_json_is_rejected(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": ' + "[" * 980 + "]" * 980 + '}\n{"text": "x"}', encoding="utf-8")
    assert reasons(read(tmp_path))[-1] == "document"


def test_how_deep_a_record_may_be_does_not_depend_on_the_caller(tmp_path):
    """A plan and a run that read the same line differently would never agree on the input."""
    levels = [*range(90, 110), *range(900, 1000, 7)]
    lines = [json.dumps({"text": "x", "m": None}).replace("null", "[" * n + "]" * n) for n in levels]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    options = ReadOptions(fields=Fields(metadata=("m",)))

    def deeper(n):
        return deeper(n - 1) if n else reasons(read(tmp_path, options))

    found = read(tmp_path, options)
    assert reasons(found) == deeper(100) == ["document" if n < 100 else "invalid_json" for n in levels]
    assert "nested more than 100 levels deep" in found[-1].detail


def test_a_damaged_column_name_is_one_unreadable_file(tmp_path):
    pq.write_table(pa.table({"a_long_name": ["x"]}), tmp_path / "a.parquet", store_schema=False)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data.replace(b"a_long_name", b"a_\xccong_name"))
    (tmp_path / "b.txt").write_text("x")
    assert reasons(read(tmp_path)) == ["unreadable_file", "document"]


@pytest.mark.parametrize("target", ["gone", "b.txt"])
def test_a_broken_link_is_one_unreadable_file(tmp_path, target):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").symlink_to(tmp_path / target)
    assert reasons(read(tmp_path)) == ["document", "unreadable_file"]


def test_a_glob_matches_folders_too_and_names_are_relative_to_it(tmp_path):
    for name in ["x.parquet", "y.parquet"]:
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"text": [name]}), tmp_path / name / "part-0.parquet")
    records = read(tmp_path / "*.parquet")
    assert [record.text for record in records] == ["x.parquet", "y.parquet"]
    assert records[0].source == "x.parquet/part-0.parquet"


def test_files_about_the_data_and_hidden_ones_are_not_data(tmp_path):
    names = ["a.txt", "B.TXT", "README.md", "LICENSE.txt", "._a.txt", ".cache/b.txt", ".ipynb_checkpoints/c.md"]
    names += ["chapters/README.md", "authorship.md"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"Text of {name}.")
    files, skipped = list_inputs(str(tmp_path))
    assert [file.name for file in files] == ["B.TXT", "a.txt", "authorship.md", "chapters/README.md"]
    assert sorted(skipped) == sorted(set(names) - {file.name for file in files})
    assert [d.text for d in read(tmp_path / "README.md")] == ["Text of README.md."]


def test_ids_of_any_scalar_column_are_written_as_text(tmp_path):
    day, number = datetime.date(2024, 5, 1), decimal.Decimal("12.50")
    for name, column in {"day": pa.array([day]), "number": pa.array([number])}.items():
        pq.write_table(pa.table({"id": column, "text": ["It rained."]}), tmp_path / f"{name}.parquet")
    pq.write_table(
        pa.table({"id": pa.array([uuid.UUID(int=7).bytes], pa.uuid()), "text": ["It rained."]}), tmp_path / "u.parquet"
    )
    ids = [d.id for d in read(tmp_path)]
    assert ids == ["2024-05-01", "12.50", "00000000-0000-0000-0000-000000000007"]


def test_a_text_file_that_is_too_long_is_not_read_as_a_whole(tmp_path):
    with (tmp_path / "a.txt").open("wb") as file:
        file.write("ä".encode() * 10)
        file.truncate(1 << 40)  # no machine of ours has such a memory
    (record,) = read(tmp_path / "a.txt")
    assert record.reason == "document_too_long"
    assert record.text.startswith("ää")
    assert len(record.text) <= 100_000


def test_the_records_before_the_damage_of_a_compressed_file_are_kept(tmp_path):
    rows = [{"id": f"d{i}", "text": f"{i} {uuid.uuid4()}"} for i in range(2000)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-1])
    (tmp_path / "padded.jsonl.gz").write_bytes(gzip.compress(lines) + b"\0" * 512)
    cut, padded = read(tmp_path / "cut.jsonl.gz"), read(tmp_path / "padded.jsonl.gz")
    assert reasons(padded) == ["document"] * 2000
    assert reasons(cut) == ["document"] * 2000 + ["unreadable_file"]
