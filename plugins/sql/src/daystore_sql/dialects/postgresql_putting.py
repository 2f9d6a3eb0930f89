"""PostgreSQL's statements for puts that nothing stands in the way of, which is what most batches are.

`WRITE` locks every row, looks at it as it is then, and changes it. `PUT` changes the rows at once, which locks
them in the same order, and takes everything back if that was not all there was to do:

``shared``    as in `WRITE`
``want``      the puts, in the order of their keys, each with the row that is seen before anybody is waited for;
              if its fields become others, it ``moves``
``updated``   the rows that are there, as they are *now*: after waiting for another writer it is the newest state
              that counts. One with an intent is left out, and one that moves and is not as it was seen, because
              its entries in the index may be others. A row that was expired is born anew; so what ``existed`` was
              not born at this instant, and what was, is left out, since of that it could not be told
``inserted``  those for keys that nobody has
``verdict``   whether these are all, and in time
``go``        the ticket

Where there is no ticket in the end, the statement fails as a whole, by a division by zero: because a row was left
out, because somebody else inserted a key or looked for the ticket meanwhile, or because it is too late. Then
`WRITE` finds out which of these it was, and does what there is to do.

`PUT_BARE` is the same for records without fields: it need not see a row before it changes it, and leaves out the
ones that have fields.
"""

from __future__ import annotations

from daystore.abc import ANY
from daystore_sql.dialects.postgresql_statements import LOCKS
from daystore_sql.dialects.postgresql_writing import brief, entry_columns, once
from daystore_sql.network.changes import Changes, Ticket

__all__ = ["LEFT_OUT", "PUT", "PUT_BARE", "only_puts", "put_of"]

LEFT_OUT = "22012"
"""The SQLSTATE of a `PUT` that was not all there was to do."""

_ALIVE = "(r.expires_at IS NULL OR r.expires_at > $10::bigint)"

# A mere `<>` would let PostgreSQL look for the key in the index by this column.
_BORN_BEFORE = "r.created_at IS DISTINCT FROM $10::bigint"

_SHARED = f"""shared AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared({LOCKS} + scope) FROM unnest($1::bigint[]) AS scope
)"""  # noqa: S608 -- constants

_OPERATIONS = """
    SELECT n, coalesce(scope, ($2::bigint[])[1]) AS scope, key, version, expires_at, keeps,
      coalesce(shape, ($7::bigint[])[1]) AS shape, coalesce(meta, ($8::bytea[])[1]) AS meta, value, fields
    FROM ROWS FROM (
      unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::bytea[]), unnest($5::bigint[]), unnest($6::boolean[]),
      unnest($7::bigint[]), unnest($8::bytea[]), unnest($9::bytea[]), {fields},
      generate_series(1, cardinality($3::bytea[]))
    ) AS t(scope, key, version, expires_at, keeps, shape, meta, value, fields, n)
    WHERE (SELECT count(*) FROM shared) >= 0
"""

_UPDATE = f"""UPDATE ds_record r SET
    shape = w.shape, version = w.version, updated_at = $10::bigint, meta = w.meta, fields = w.fields,
    value = w.value,
    created_at = CASE WHEN {_ALIVE} THEN r.created_at ELSE $10::bigint END,
    expires_at = CASE WHEN w.keeps IS NULL THEN w.expires_at WHEN {_ALIVE} THEN r.expires_at END
  FROM want w
  WHERE r.intent IS NULL AND {_BORN_BEFORE}"""  # noqa: S608 -- constants

_END = """verdict AS MATERIALIZED (
  SELECT string_agg(CASE WHEN n IN (SELECT n FROM updated WHERE existed) THEN '3' ELSE '2' END, '' ORDER BY n)
      AS outcome,
    CASE WHEN (SELECT count(*) FROM updated) + (SELECT count(*) FROM inserted) = count(*)
      THEN extract(epoch FROM clock_timestamp()) * 1000000 <= $11::bigint ELSE false END AS whole
  FROM generate_series(1, cardinality($3::bytea[])) AS n
), go AS (
  INSERT INTO ds_commit (id, outcome)
  SELECT $12::bytea, convert_to(outcome, 'UTF8') FROM verdict WHERE whole
  ON CONFLICT DO NOTHING
  RETURNING 1
)
SELECT outcome, 1 / (SELECT count(*) FROM go) AS whole FROM verdict
"""

PUT_BARE = f"""
WITH {_SHARED}, want AS MATERIALIZED ({_OPERATIONS.format(fields="unnest('{}'::bytea[])")}), updated AS (
  {_UPDATE} AND r.scope = ANY (ARRAY[w.scope]) AND r.key = ANY (ARRAY[w.key]) AND r.fields IS NULL
  RETURNING w.n, {_BORN_BEFORE} AS existed
), inserted AS (
  INSERT INTO ds_record (scope, key, shape, version, created_at, updated_at, expires_at, meta, value)
  SELECT scope, key, shape, version, $10::bigint, $10::bigint, expires_at, meta, value
  FROM want
  WHERE n NOT IN (SELECT n FROM updated)
  ORDER BY n
  ON CONFLICT (scope, key) DO NOTHING
  RETURNING 1
), {_END}
"""  # noqa: S608 -- constants

PUT = f"""
WITH {_SHARED}, want AS MATERIALIZED (
  SELECT t.*, s.id AS old, s.version AS seen, s.fields IS DISTINCT FROM t.fields AS moves,
    CASE WHEN s.id IS NULL THEN nextval('ds_record_id_seq') ELSE s.id END AS id
  FROM ({_OPERATIONS.format(fields="unnest($13::bytea[])")}) t LEFT JOIN LATERAL (
    SELECT s.id, s.version, s.fields FROM ds_record s WHERE s.scope = t.scope AND s.key = t.key
    OFFSET 0
  ) s ON true
), entry AS (
  SELECT * FROM ROWS FROM (
    unnest($14::int[]), unnest($15::bigint[]), unnest($16::bytea[]), unnest($17::bigint[]), unnest($18::float8[]),
    generate_series(1, cardinality($14::int[]))
  ) AS t(n, field, sort_key, whole, real, m)
), updated AS (
  {_UPDATE} AND r.id = ANY (ARRAY[w.old])
    AND CASE WHEN w.moves THEN r.version = w.seen ELSE r.fields IS NOT DISTINCT FROM w.fields END
  RETURNING w.n, {_BORN_BEFORE} AS existed
), inserted AS (
  INSERT INTO ds_record (id, scope, key, shape, version, created_at, updated_at, expires_at, meta, fields, value)
  SELECT id, scope, key, shape, version, $10::bigint, $10::bigint, expires_at, meta, fields, value
  FROM want
  WHERE old IS NULL
  ORDER BY n
  ON CONFLICT (scope, key) DO NOTHING
  RETURNING 1
), removed AS (
  DELETE FROM ds_field f USING want w
  WHERE w.moves AND f.record = ANY (ARRAY[w.old]) AND NOT EXISTS (
    SELECT 1 FROM entry e WHERE e.n = w.n AND e.field = f.field AND e.sort_key = f.sort_key)
), indexed AS (
  INSERT INTO ds_field (record, field, sort_key, key, whole, real)
  SELECT w.id, e.field, e.sort_key, w.key, e.whole, e.real
  FROM entry e JOIN want w ON w.n = e.n
  WHERE w.moves
  ON CONFLICT DO NOTHING
), {_END}
"""  # noqa: S608 -- constants


def only_puts(changes: Changes) -> bool:
    """Tell whether `put_of` may do: nothing but puts, which expect nothing."""
    return all(change.kind == "put" and change.expect is ANY for change in changes.items)


def put_of(changes: Changes, ticket: Ticket) -> tuple[str, tuple[object, ...]]:
    """Return the statement for puts, and its parameters."""
    items = changes.items
    scopes = [change.scope for change in items]
    parameters = (
        sorted(set(scopes)),
        once(scopes),
        [change.key for change in items],
        [change.version for change in items],
        brief([change.expires_at for change in items]),
        brief([change.keeps or None for change in items]),
        once([change.shape for change in items]),
        once([change.meta for change in items]),
        [change.value for change in items],
        changes.now,
        ticket.deadline,
        ticket.id,
    )
    if fields := brief([change.fields for change in items]):
        return PUT, (*parameters, fields, *entry_columns(items))
    return PUT_BARE, parameters
