"""Tables of annotations: no row is lost without a word, whatever quotation marks and encodings do."""
from __future__ import annotations

import csv
import io
import random

import pytest

from soke.data.corpora.annotations import read_table
from soke.errors import UserError

OPEN = (
    "opens a quotation mark that is not closed before what looks like the next row; close it, and keep the text on one "
    "line"
)


def table_of(path, content: str):
    path.write_text(content, encoding="utf-8", newline="")
    return read_table(path, ("name",))


def lines_of(count: int) -> list[str]:
    return ["name,text,rate", *(f"c{i},sentence {i},25" for i in range(count))]


@pytest.mark.parametrize(
    "closing",
    [
        'c9,"Yes, it does",25',  # the next mark of the file opens another field
        'c9,a pipe of 12",25',  # the next mark of the file looks like a closing one
        'c9,sentence 9,25\nc10,"so he said: ""go""",25',
        None,  # there is no other mark
    ],
)
def test_an_open_mark_swallows_no_rows(tmp_path, closing):
    lines = lines_of(10)
    lines[3] = 'c2,"He said go,25'
    lines[10:] = lines[10:] if closing is None else closing.split("\n")
    table = table_of(tmp_path / "t.csv", "\n".join(lines) + "\n")
    assert table.malformed == {"line 4": OPEN}
    expected = [row for i, line in enumerate(lines[1:]) if i != 2 for row in csv.reader([line])]
    assert [list(row.values()) for row in table.rows] == expected and len(expected) >= 9


def test_an_open_mark_before_more_than_a_field_may_hold(tmp_path):
    lines = lines_of(20_000)
    lines[3] = 'c2,"He said go,25'
    table = table_of(tmp_path / "t.csv", "\n".join(lines))
    assert (len(table.rows), table.malformed) == (19_999, {"line 4": OPEN})


def test_a_row_that_is_malformed_itself_is_not_swallowed(tmp_path):
    lines = lines_of(3)
    lines[1:3] = ['c0,"open,25', 'c1,yes, he did "so,25']
    table = table_of(tmp_path / "t.csv", "\n".join(lines))
    assert table.malformed == {"line 2": OPEN, "line 3": "has 4 fields, expected 3"}
    assert [row["name"] for row in table.rows] == ["c2"]


def test_a_sentence_of_several_lines_is_one_row(tmp_path):
    table = table_of(tmp_path / "t.csv", 'name,text,rate\na,"one,\ntwo ""and"" three\n",25\nb,x,30\n')
    assert table.rows == [
        {"name": "a", "text": 'one,\ntwo "and" three\n', "rate": "25"}, {"name": "b", "text": "x", "rate": "30"}
    ]
    assert table.malformed == {}


def test_a_record_of_several_lines_and_another_width_is_named_by_its_lines(tmp_path):
    table = table_of(tmp_path / "t.csv", 'name,text,rate\na,"one\ntwo"\nb,x,30\n')
    assert table.malformed == {"lines 2 to 3": "has 2 fields, expected 3"} and [r["name"] for r in table.rows] == ["b"]


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_csv_module_and_loses_one_row_per_open_mark(tmp_path, seed):
    draw = random.Random(seed)
    pieces = ["a", "b c", ",", '"', "'", "ü", "12\""]
    rows = [[f"c{i}", "".join(draw.choices(pieces, k=4)), "25"] for i in range(30)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["name", "text", "rate"], *rows])
    table = table_of(tmp_path / "t.csv", text.getvalue())
    assert [list(row.values()) for row in table.rows] == rows and not table.malformed
    lines, broken = text.getvalue().splitlines(), draw.randrange(len(rows))
    lines[1 + broken] = f'c{broken},"open,25'
    table = table_of(tmp_path / "t.csv", "\n".join(lines))
    assert [list(row.values()) for row in table.rows] == rows[:broken] + rows[broken + 1 :]
    assert table.malformed == {f"line {broken + 2}": OPEN}


def test_tab_separated_rows_that_span_lines_are_named(tmp_path):
    table = table_of(tmp_path / "t.tsv", 'name\ttext\na\t"You know what?\nb\t"cut\nin two"\nc\tx\n')
    assert [row["name"] for row in table.rows] == ["a", "c"], "a mark of a sentence's own stays"
    assert table.rows[0]["text"] == '"You know what?'
    assert table.malformed == {"line 3": OPEN, "line 4": "has 1 fields, expected 2"}


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_of_encodings_and_line_ends_are_no_letters(tmp_path, separator, encoding, end):
    lines = [separator.join(fields) for fields in (("name", "text"), ("a", "Grüße"), ("b", "你好"))]
    (tmp_path / "t.csv").write_bytes((end.join(lines) + end).encode(encoding))
    table = read_table(tmp_path / "t.csv", ("name", "text"))
    assert table.rows == [{"name": "a", "text": "Grüße"}, {"name": "b", "text": "你好"}] and not table.malformed


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "gb18030"])
def test_other_encodings_are_named(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("name,text\na,Grüße\n".encode(encoding))
    with pytest.raises(UserError, match=r"^\S*t\.csv is not in UTF-8: it.*; save it in UTF-8"):
        read_table(tmp_path / "t.csv", ("name",))


@pytest.mark.parametrize("separator", [",", "\t"])
def test_two_columns_of_one_name_are_an_error(tmp_path, separator):
    """Which of two frame rates holds, nobody can tell."""
    def content(header):
        return "\n".join(separator.join(line) for line in (header, ["c0", "25", "50"]))

    with pytest.raises(UserError, match="t.csv has several columns of the name fps; keep one"):
        table_of(tmp_path / "t.csv", content(["name", "fps", "fps"]))
    assert table_of(tmp_path / "t.csv", content(["name", "", ""])).rows == [{"name": "c0", "": "50"}], "columns without a name"
