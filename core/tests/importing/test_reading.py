"""Reading transcripts: every accepted form, and a clear error for everything else."""

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daystore.importing import Run, TranscriptError, read_runs

Write = Callable[[str, object], Path]
HELLO = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]


def failure(path: Path) -> str:
    with pytest.raises(TranscriptError) as caught:
        list(read_runs(path))
    assert caught.value.path == path
    return str(caught.value)


def only(path: Path) -> Run:
    [run] = read_runs(path)
    return run


# --- What is accepted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz", "a.ndjson.gz"])
def test_every_kind_of_file_gives_the_same_runs(write: Write, name: str) -> None:
    raw = [{"task_id": n, "trial": 1, "reward": n / 2, "traj": HELLO[: n + 1]} for n in range(2)]
    content: object = raw if ".json." in f"{name}." else "\n".join(map(json.dumps, raw)).encode()
    runs = list(read_runs(write(name, content)))
    assert [run.id for run in runs] == ["task-0-trial-1", "task-1-trial-1"]
    assert [run.messages for run in runs] == [HELLO[:1], HELLO]
    assert [run.reward for run in runs] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("raw", "run_id"),
    [
        ({"task_id": 3, "trial": 0, "traj": HELLO}, "task-3-trial-0"),
        ({"task_id": "north", "traj": HELLO}, "task-north"),
        ({"id": "chat/é 1", "messages": HELLO}, "chat/é 1"),
        ({"id": 7, "task_id": 3, "messages": HELLO}, "7"),
    ],
)
def test_a_run_is_named_by_what_it_says_of_itself(write: Write, raw: object, run_id: str) -> None:
    assert only(write("a.json", [raw])).id == run_id


@pytest.mark.parametrize("raw", [HELLO, [HELLO], {"messages": HELLO}, {"traj": HELLO}, [{"messages": HELLO}]])
def test_one_run_needs_no_list_and_no_name(write: Write, raw: object) -> None:
    run = only(write("a.json", raw))
    assert run.messages == HELLO
    assert run.id == f"run-{run.digest[:16]}"


def test_a_run_without_a_name_is_named_by_its_content(write: Write) -> None:
    first = [run.id for run in read_runs(write("a.json", [HELLO, HELLO[:1], HELLO]))]
    assert first == [run.id for run in read_runs(write("b.jsonl", [HELLO, HELLO[:1], HELLO]))]
    assert first[2] == f"{first[0]}-2"
    assert len(set(first)) == 3


def test_everything_beside_the_messages_is_kept(write: Write) -> None:
    rest = {"task_id": 1, "info": {"deep": [{"x": None}, [1.5, True]]}, "größe": "✓", "huge": 2**80}
    assert only(write("a.json", [{**rest, "traj": HELLO}])).rest == rest


def test_numbers_are_kept_exactly(write: Write) -> None:
    path = write("a.json", '[{"role": "user", "big": 123456789012345678901234567890, "small": -0.0}]')
    [message] = only(path).messages
    assert message["big"] == 123456789012345678901234567890
    assert repr(message["small"]) == "-0.0"


def test_a_line_ends_at_a_line_feed_only(write: Write) -> None:
    messages = [{"role": "user", "content": "a\u2028b\u0085c\x0bd"}]
    path = write("a.jsonl", [{"messages": messages}, {"messages": HELLO}])
    assert [run.messages for run in read_runs(path)] == [messages, HELLO]


def test_a_byte_order_mark_and_blank_lines_are_passed_over(write: Write) -> None:
    path = write("a.jsonl", b"\xef\xbb\xbf" + json.dumps(HELLO).encode() + b"\r\n\r\n\n")
    assert only(path).messages == HELLO


@pytest.mark.parametrize(
    ("raw", "started", "ended"),
    [
        ({"started_at": "2026-03-01T10:00:00+02:00", "ended_at": "2026-03-01T09:00:00Z"}, 8, 9),
        ({"created_at": "2026-03-01T08:00:00"}, 8, None),
        ({"created": 1772352000}, 8, None),
        ({"created": 1772352000000, "updated_at": 1772355600.0}, 8, 9),
        ({"created": "yesterday", "ended_at": True}, None, None),
        ({"created": 10**400}, None, None),
    ],
)
def test_times_are_read_where_they_are_told(
    write: Write, raw: dict[str, object], started: int | None, ended: int | None
) -> None:
    run = only(write("a.json", [{**raw, "messages": HELLO}]))
    assert run.started == (None if started is None else datetime(2026, 3, 1, started, tzinfo=UTC))
    assert run.ended == (None if ended is None else datetime(2026, 3, 1, ended, tzinfo=UTC))
    assert run.rest == raw


def test_without_times_of_its_own_a_run_has_those_of_its_messages(write: Write) -> None:
    messages = [{"role": "user", "timestamp": f"2026-03-01T0{hour}:00:00Z"} for hour in (4, 2, 3)]
    run = only(write("a.json", messages))
    assert run.started == datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert run.ended == datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("reward", ["1", True, None, [1], 10**400])
def test_a_reward_that_is_no_number_is_kept_but_not_counted(write: Write, reward: object) -> None:
    run = only(write("a.json", [{"reward": reward, "messages": HELLO}]))
    assert run.reward is None
    assert run.rest == {"reward": reward}


def test_the_sample_reads_well(sample: Path) -> None:
    runs = list(read_runs(sample))
    assert {run.type for run in runs} == {"support", "research", "coding"}
    assert all(run.started and run.ended and run.started < run.ended for run in runs)
    assert any("tool_calls" in message for run in runs for message in run.messages)


def test_real_transcripts_read_well(transcripts: Path) -> None:
    text = (
        gzip.decompress(transcripts.read_bytes()) if transcripts.suffix == ".gz" else transcripts.read_bytes()
    )
    raw = json.loads(text)
    runs = list(read_runs(transcripts))
    assert [run.messages for run in runs] == [run["traj"] for run in raw]
    assert [run.rest for run in runs] == [{k: v for k, v in run.items() if k != "traj"} for run in raw]


def test_lines_are_read_one_at_a_time(write: Write) -> None:
    path = write("a.jsonl", json.dumps(HELLO) + "\n{")
    runs = read_runs(path)
    assert next(runs).messages == HELLO
    with pytest.raises(TranscriptError, match="line 2"):
        next(runs)


# --- What is refused ----------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no such file" in failure(tmp_path / "a.json")


def test_a_directory(tmp_path: Path) -> None:
    assert "this is a directory" in failure(tmp_path)


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    assert "no regular file" in failure(tmp_path / "a.json")


def test_a_name_that_says_nothing(write: Write) -> None:
    assert "expected .json, .jsonl or .ndjson" in failure(write("a.txt", HELLO))


def test_a_file_that_only_claims_to_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_text(json.dumps(HELLO))
    assert "not a gzip file" in failure(path)


def test_a_file_that_does_not_tell_that_it_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(json.dumps(HELLO).encode()))
    assert "name it a.json.gz" in failure(path)


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl.gz"])
def test_a_compressed_file_that_is_cut_off(write: Write, name: str) -> None:
    path = write(name, [HELLO] * 50)
    path.write_bytes(path.read_bytes()[:-20])
    assert "damaged or cut off" in failure(path)


def test_a_compressed_file_that_is_damaged(write: Write) -> None:
    path = write("a.json.gz", [HELLO] * 50)
    data = bytearray(path.read_bytes())
    data[20:40] = bytes(20)
    path.write_bytes(data)
    assert "damaged or cut off" in failure(path)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("content", [b"", b" \n\n "])
def test_an_empty_file(write: Write, name: str, content: bytes) -> None:
    assert "the file is empty" in failure(write(name, content))


def test_a_gz_file_of_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.touch()
    assert "the file is empty" in failure(path)


def test_no_runs(write: Write) -> None:
    assert "there is no run in it" in failure(write("a.json", []))


def test_text_that_is_not_json(write: Write) -> None:
    assert "not JSON: Expecting value at line 2, column 3" in failure(write("a.json", "[\n  oops]"))


def test_a_line_that_is_not_json(write: Write) -> None:
    text = json.dumps(HELLO) + '\n{"messages": oops}\n'
    assert "a.jsonl, line 2: not JSON: Expecting value at column 14" in failure(write("a.jsonl", text))


def test_lines_in_a_json_file(write: Write) -> None:
    assert "name it .jsonl" in failure(write("a.json", f"{json.dumps(HELLO)}\n{json.dumps(HELLO)}"))


def test_json_over_many_lines_in_a_jsonl_file(write: Write) -> None:
    assert "is named .json" in failure(write("a.jsonl", json.dumps([HELLO], indent=1)))


def test_another_encoding(write: Write) -> None:
    assert "not text in UTF-8: the byte at offset 0" in failure(
        write("a.json", json.dumps(HELLO).encode("utf-16"))
    )
    latin = '{"messages": [{"role": "user", "content": "é"}]}'.encode("latin-1")
    assert "a.jsonl, line 1: not text in UTF-8" in failure(write("a.jsonl", latin))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"role": "user", "x": NaN}]', "NaN is no JSON number"),
        ('[{"role": "user", "x": -Infinity}]', "-Infinity is no JSON number"),
        ('[{"role": "user", "x": 1e999}]', "outside the range of a float"),
        ('[{"role": "user", "role": "tool"}]', "the same key twice"),
        ('[{"role": "user", "content": "\\ud83d"}]', "half of a surrogate pair"),
        ('[{"role": "user", "x": ' + "9" * 5000 + "}]", "Exceeds the limit"),
    ],
)
def test_json_that_could_not_be_kept_exactly(write: Write, text: str, problem: str) -> None:
    assert problem in failure(write("a.json", text))


def test_json_that_is_nested_too_deeply(write: Write) -> None:
    assert "nested too deeply" in failure(write("a.json", "[" * 200_000))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (7, "expected a list of runs, found a number"),
        ('"x"', "expected a list of runs, found a text"),
        (None, "expected a list of runs, found null"),
        ({"runs": [HELLO]}, "a run is an object with its messages under 'traj' or 'messages'"),
        ([{"messages": HELLO}, {"content": "x"}], "[1]: a run is an object"),
        ([{"messages": HELLO}, {"content": "x"}], "found an object with 'content'"),
        ([{"messages": HELLO}, 5], "[1]: a run is an object"),
        ([{"messages": {"a": 1}}], "[0].messages: expected a list of messages, found an object with 'a'"),
        ([{"messages": HELLO, "traj": HELLO}], "both 'traj' and 'messages'"),
        ([{"traj": [*HELLO, {"content": "x"}]}], "[0].traj[2]: a message is an object whose 'role'"),
        ([{"traj": [*HELLO, {"role": ""}]}], "[0].traj[2]: a message is an object whose 'role'"),
        ([{"traj": [{"role": 5}]}], "[0].traj[0]: a message is an object whose 'role'"),
        (
            [{"traj": ["hello"]}],
            "[0].traj[0]: a message is an object whose 'role' is a text that is not empty; found a text",
        ),
        ([HELLO, [{}]], "[1][0]: a message"),
        ([*HELLO, "x"], "[2]: a message"),
        ({"messages": ["x"]}, "messages[0]: a message"),
        ([{"id": True, "messages": HELLO}], "[0].id: expected a text or an integer, found a boolean"),
        ([{"id": "", "messages": HELLO}], "[0].id: expected a text"),
        ([{"task_id": 1, "trial": 0.5, "messages": HELLO}], "[0].trial: expected a text or an integer"),
        ([{"id": "é" * 122, "messages": HELLO}], "[0]: the id has more than 243 bytes"),
        ([{"id": "/" * 122, "messages": HELLO}], "'/' and '~' counted twice"),
        ([{"id": "a", "messages": HELLO}] * 2, "[1]: the same id as the run at [0]"),
    ],
)
def test_json_of_another_shape(write: Write, raw: object, problem: str) -> None:
    assert problem in failure(write("a.json", raw))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (7, "line 2: expected a run, found a number"),
        ({"messages": [{"role": "user"}, {}]}, "line 2, messages[1]: a message"),
        ([{"role": "user"}, {}], "line 2, [1]: a message"),
    ],
)
def test_lines_of_another_shape(write: Write, raw: object, problem: str) -> None:
    assert problem in failure(write("a.jsonl", [HELLO, raw]))


def test_an_error_shows_no_content(write: Write) -> None:
    raw = [{"messages": [{"role": 1, "content": "hush"}]}]
    assert "hush" not in failure(write("a.json", raw))
