"""AUD3: whatever the values are, a record is one line of printable ASCII, and its fields parse back."""

import json
import logging
import re

from hypothesis import given
from hypothesis import strategies as st

from mailauth.effects.log_lines import FIELDS, LogfmtFormatter

VALUES = st.text(st.characters(), min_size=1, max_size=40) | st.text('\n\r\t "=\\\x00\x1b\x7f\x85\u2028a', min_size=1)
KEYS = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)
FIELD = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]+)')


@given(VALUES, st.dictionaries(KEYS, VALUES, max_size=6))
def test_record_is_one_line_and_its_fields_parse_back(message: str, fields: dict[str, str]) -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, None, None)
    setattr(record, FIELDS, fields)
    line = LogfmtFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    head = re.match(r'[^ ]+Z info (?:"(?:[^"\\]|\\.)*"|[^ "]+)', line)
    assert head
    tail = line[head.end() :]
    read = {key: json.loads(value) if value[0] == '"' else value for key, value in FIELD.findall(tail)}
    assert "".join(match[0] for match in FIELD.finditer(tail)) == tail
    assert read == fields
