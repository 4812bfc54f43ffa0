"""Conditions are tried before any work: what can never hold is refused, what some row may fulfil is not."""

import pytest

from schemas.failures import FAILURE_SCHEMA
from transforms.join.where_condition import ConditionError, check_condition
from transforms.reprocess.rows_wanted import where_schema


@pytest.mark.parametrize(
    "condition",
    [
        "photo_id = '12'",
        "title::int = 3",
        "date_taken > '2010-01-01' OR date_taken IS NULL",
        "CAST(right(concat(photo_id), 1) AS INT) < 3",
        "10 // photo_id > 1",
        "CAST(key AS BIGINT) % 2 = 0",
        "len(boxes) > 3 AND boxes[1].label = 'dog'",
        "list_contains(user_tags, 'cat')",
        "list_sum(list_transform(autotags, lambda t: t.score)) / len(autotags) > 0.5",
        "json_extract(description, '$.a') = 1",
        "strptime(title, '%Y') > '2010-01-01'",
        "width / height > 1.5 AND is_video = false",
        "date_part('year', date_taken) = 2010",
    ],
)
def test_what_some_row_may_fulfil_is_accepted(condition: str) -> None:
    check_condition(condition, where_schema([64]))


@pytest.mark.parametrize(
    "condition",
    [
        "photo_id = 'abc'",
        "photo_id IN (1, 'a')",
        "user_tags = 3",
        "date_taken > 'x'",
        "latitude > 'north'",
        "len(boxes) > 'x'",
        "width = 'wide'",
        "date_taken > 2010",
        "regexp_matches(title, '(')",
    ],
)
def test_what_no_row_can_be_judged_by_is_refused(condition: str) -> None:
    with pytest.raises(ConditionError, match="--where"):
        check_condition(condition, where_schema())


def test_the_trial_is_named_where_it_may_be_to_blame() -> None:
    with pytest.raises(ConditionError, match="tried on a row without values; TRY_CAST gives null instead"):
        check_condition("split_part(concat(date_taken), '-', 1)::int > 2010")
    check_condition("TRY_CAST(split_part(concat(date_taken), '-', 1) AS int) > 2010")


def test_conditions_on_failures_are_tried_too() -> None:
    check_condition("reason IN ('timeout', 'gone') AND http_status > 400", FAILURE_SCHEMA, "--retry")
    with pytest.raises(ConditionError, match="--retry"):
        check_condition("http_status = 'bad'", FAILURE_SCHEMA, "--retry")
