"""PostgreSQL's statements of the hot paths: each is one round trip, its text the same for any number of keys.

A batch of writes is one statement at READ COMMITTED, in autocommit:

``shared``    takes the lock that a batch with checked queries takes alone, before anything else is looked at
``want``      the operations, one row each, in the order of their keys; which is the order in which rows are locked
``judged``    each with its row, locked, as it is *now*: after waiting for another writer that is newer than what
              the rest of the statement sees, whose snapshot is from its beginning. An expectation that the
              snapshot does not fulfil has failed already, since versions do not come back: it waits for nobody
``verdict``   whether to go on: not if an expectation of an atomic batch fails, if the deadline has passed, or if
              the index entries of a row cannot be seen, because it has changed since the snapshot; or if nothing
              is to be altered, and what was changed since was judged beside what the snapshot says
``go``        the ticket; whoever looked for it meanwhile has put it there first, and nothing else happens
the rest      the changes, each joined with ``go``; where it is empty, nothing but locks was written, and the
              commit need not wait for the disk

A key that nobody has is inserted; if somebody else inserts it at the same time, the numbers of rows differ, and
the statement fails as a whole, by a division by zero. An atomic batch that depends on the absence of a key, and
changes something, leaves a row there that has expired already, so that two such batches meet.

A row is found again as one ``= ANY (ARRAY[…])``, which nothing but its index can serve: by a mere ``=`` the
planner would join the whole table, if that was small when the statement was planned. What is looked up in a
subquery has ``OFFSET 0`` for the same reason. Where all collections, shapes or metas are the same, one is sent.

In ``modes`` each operation has one byte: 1 put, 2 delete, 4 expects absence, 8 expects a version, 16 keeps the
expiry, 32 holds the place of what is absent, 64 expects the intent of a transaction, 128 sets the intent, or
removes it without one. What an earlier attempt has done ``stands``: it is to be altered no more.

The digit of an outcome is the sum of 1 if there was a live record, 2 if the operation was done, and 4 if an intent
was in its way.
"""

from __future__ import annotations

__all__ = [
    "FORGET",
    "GET",
    "GET_MANY",
    "HELLO",
    "LOCK",
    "OUTCOME",
    "POSITION",
    "REPLAYED",
    "RETURN",
    "SWEEP",
    "VERSIONS",
    "WRITE",
]

LOCKS = 0x6473 << 48
"""Added to the number of a collection it is the number of its advisory lock."""

HELLO = """
SELECT pg_backend_pid(), current_setting('server_version'), current_setting('server_version_num')::int,
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') = 'on'
"""

# The same on a server and on its replicas, and nowhere else.
_ORIGIN = """concat_ws('/', (SELECT system_identifier FROM pg_control_system()), current_database(),
  to_regclass('ds_record')::oid)"""

# What was replayed on one timeline cannot be compared with what was written on another. A replica tells the
# timeline of its last checkpoint, which may be some minutes behind.
POSITION = f"""
SELECT {_ORIGIN}, ('x' || left(pg_walfile_name(place), 8))::bit(32)::int::text, (place - '0/0')::bigint
FROM pg_current_wal_insert_lsn() AS place
"""  # noqa: S608 -- constants

REPLAYED = f"""
SELECT {_ORIGIN}, (SELECT timeline_id FROM pg_control_checkpoint())::text,
  (pg_last_wal_replay_lsn() - '0/0')::bigint, pg_is_in_recovery()
"""  # noqa: S608 -- constants

_RECORD = "key, value, version, created_at, updated_at, expires_at, meta, fields, intent"

GET = f"""
SELECT {_RECORD} FROM ds_record
WHERE scope = $1::bigint AND key = $2::bytea
  AND (expires_at IS NULL OR expires_at > $3::bigint OR intent IS NOT NULL)
"""  # noqa: S608 -- constants

GET_MANY = f"""
SELECT r.* FROM unnest($2::bytea[]) AS k, LATERAL (
  SELECT {_RECORD} FROM ds_record
  WHERE scope = $1::bigint AND key = k
    AND (expires_at IS NULL OR expires_at > $3::bigint OR intent IS NOT NULL)
  OFFSET 0
) r
"""  # noqa: S608 -- constants

LOCK = f"SELECT pg_advisory_xact_lock({LOCKS} + scope) FROM unnest($1::bigint[]) AS scope"  # noqa: S608

WRITE = f"""
WITH shared AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared({LOCKS} + scope) FROM unnest($1::bigint[]) AS scope
), want AS (
  SELECT n, coalesce(scope, ($2::bigint[])[1]) AS scope, key, expected, version, expires_at,
    coalesce(shape, ($8::bigint[])[1]) AS shape, coalesce(meta, ($9::bytea[])[1]) AS meta, fields, intent, value,
    get_byte($5, n - 1) AS mode
  FROM ROWS FROM (
    unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::bytea[]), unnest($6::bytea[]), unnest($7::bigint[]),
    unnest($8::bigint[]), unnest($9::bytea[]), unnest($10::bytea[]), unnest($11::bytea[]), unnest($12::bytea[]),
    generate_series(1, $13::int)
  ) AS t(scope, key, expected, version, expires_at, shape, meta, fields, intent, value, n)
  WHERE (SELECT count(*) FROM shared) >= 0
), judged AS MATERIALIZED (
  SELECT w.*, r.id AS old, CASE WHEN h.misses THEN s.version ELSE r.version END AS current,
    r.created_at AS born, r.expires_at AS due, l.live, l.waits, l.holds OR l.stands AS holds,
    l.holds AND (w.mode & 129 > 0 OR w.mode & 2 > 0 AND r.id IS NOT NULL) AS alters,
    l.holds AND r.id IS NOT NULL AND (w.mode & 2 > 0 OR w.mode & 1 > 0 AND r.fields IS DISTINCT FROM w.fields)
      AS moves,
    CASE
      WHEN r.id IS NOT NULL THEN r.id
      WHEN l.holds AND w.mode & 161 > 0 THEN nextval('ds_record_id_seq')
    END AS id,
    l.holds AND r.id IS NULL AND w.mode & 161 > 0 AS fresh,
    r.id IS NOT NULL AND (r.version <> s.version OR r.intent IS DISTINCT FROM s.intent) AS changed
  FROM want w
  LEFT JOIN LATERAL (
    SELECT s.id, s.version, s.intent, s.expires_at IS NULL OR s.expires_at > $19::bigint AS live
    FROM ds_record s WHERE s.scope = w.scope AND s.key = w.key
    OFFSET 0
  ) s ON true
  CROSS JOIN LATERAL (
    SELECT s.id IS NOT NULL AND CASE
      WHEN w.mode & 4 > 0 THEN s.live
      WHEN w.mode & 8 > 0 THEN NOT (s.live AND s.version = w.expected)
      ELSE false
    END AS misses
  ) h
  LEFT JOIN LATERAL (
    SELECT r.id, r.version, r.created_at, r.expires_at, r.fields, r.intent FROM ds_record r
    WHERE r.id = s.id AND NOT h.misses
    FOR UPDATE
  ) r ON true
  CROSS JOIN LATERAL (
    SELECT n.live, CASE
      WHEN w.mode & 64 > 0 THEN coalesce(substr(n.intent, 1, 16) = w.expected, false)
      WHEN h.misses OR n.intent IS NOT NULL THEN false
      WHEN w.mode & 4 > 0 THEN NOT n.live
      WHEN w.mode & 8 > 0 THEN n.live AND r.version = w.expected
      ELSE true
    END AS holds, CASE
      WHEN w.mode & 64 = 0 THEN w.mode & 128 > 0 AND n.intent IS NOT DISTINCT FROM w.intent
      ELSE w.mode & 1 > 0 AND n.live AND r.version = w.version
        AND substr(n.intent, 1, 16) IS DISTINCT FROM w.expected
    END AS stands, w.mode & 64 = 0 AND n.intent IS NOT NULL
      AND NOT (w.mode & 128 > 0 AND n.intent IS NOT DISTINCT FROM w.intent) AS waits
    FROM (SELECT CASE
      WHEN h.misses THEN s.live
      ELSE r.id IS NOT NULL AND (r.expires_at IS NULL OR r.expires_at > $19::bigint)
    END AS live, CASE WHEN h.misses THEN s.intent ELSE r.intent END AS intent) n
  ) l
), verdict AS MATERIALIZED (
  SELECT string_agg((live::int + 2 * holds::int + 4 * waits::int)::text, '' ORDER BY n) AS outcome,
    array_agg(current ORDER BY n) FILTER (WHERE live AND NOT holds) AS currents,
    count(*) FILTER (WHERE fresh) AS fresh,
    coalesce(bool_or(changed AND moves) OR bool_or(changed) AND bool_and(holds) AND NOT bool_or(alters), false)
      AS stale,
    extract(epoch FROM clock_timestamp()) * 1000000 > $20::bigint AS late,
    bool_and(holds) OR NOT $21::boolean AS agreed,
    bool_or(alters) AS changes
  FROM judged
), go AS (
  INSERT INTO ds_commit (id, outcome)
  SELECT $22::bytea, convert_to(outcome, 'UTF8') FROM verdict WHERE agreed AND changes AND NOT (stale OR late)
  ON CONFLICT DO NOTHING
  RETURNING 1
), entry AS (
  SELECT * FROM ROWS FROM (
    unnest($14::int[]), unnest($15::bigint[]), unnest($16::bytea[]), unnest($17::bigint[]), unnest($18::float8[]),
    generate_series(1, cardinality($14::int[]))
  ) AS t(n, field, sort_key, whole, real, m)
), removed AS (
  DELETE FROM ds_field f USING judged j, go
  WHERE j.moves AND f.record = ANY (ARRAY[j.old]) AND (j.mode & 2 > 0 OR NOT EXISTS (
    SELECT 1 FROM entry e WHERE e.n = j.n AND e.field = f.field AND e.sort_key = f.sort_key))
), deleted AS (
  DELETE FROM ds_record r USING judged j, go WHERE j.alters AND j.mode & 2 > 0 AND r.id = ANY (ARRAY[j.old])
), updated AS (
  UPDATE ds_record r SET
    shape = j.shape, version = j.version, updated_at = $19::bigint, meta = j.meta, fields = j.fields,
    intent = NULL, value = j.value,
    created_at = CASE WHEN j.live THEN j.born ELSE $19::bigint END,
    expires_at = CASE WHEN j.mode & 16 = 0 THEN j.expires_at WHEN j.live THEN j.due END
  FROM judged j, go
  WHERE j.alters AND j.mode & 1 > 0 AND r.id = ANY (ARRAY[j.old])
), marked AS (
  UPDATE ds_record r SET intent = j.intent FROM judged j, go
  WHERE j.alters AND j.mode & 128 > 0 AND r.id = ANY (ARRAY[j.old])
), inserted AS (
  INSERT INTO ds_record
    (id, scope, key, shape, version, created_at, updated_at, expires_at, meta, fields, intent, value)
  SELECT j.id, j.scope, j.key, j.shape, j.version, b.born, b.born,
    CASE WHEN j.mode & 160 > 0 THEN 0 ELSE j.expires_at END, j.meta, j.fields, j.intent, j.value
  FROM judged j, go, LATERAL (SELECT CASE WHEN j.mode & 160 > 0 THEN 0 ELSE $19::bigint END AS born) b
  WHERE j.fresh
  ORDER BY j.n
  ON CONFLICT (scope, key) DO NOTHING
  RETURNING 1
), indexed AS (
  INSERT INTO ds_field (record, field, sort_key, key, whole, real)
  SELECT j.id, e.field, e.sort_key, j.key, e.whole, e.real
  FROM entry e JOIN judged j ON j.n = e.n, go
  WHERE j.mode & 1 > 0 AND j.alters AND (j.old IS NULL OR j.moves)
  ON CONFLICT DO NOTHING
)
SELECT v.outcome, v.currents, v.stale, v.late, g.went > 0 OR NOT (v.agreed AND v.changes) AS done,
  1 / CASE WHEN (SELECT count(*) FROM inserted) = g.went * v.fresh THEN 1 ELSE 0 END AS whole,
  CASE WHEN g.went = 0 THEN set_config('synchronous_commit', 'off', true) END AS commits
FROM verdict v, (SELECT count(*) AS went FROM go) g
"""  # noqa: S608 -- constants

RETURN = """
INSERT INTO ds_commit (id, outcome) VALUES ($1::bytea, NULL) ON CONFLICT DO NOTHING RETURNING 1
"""
OUTCOME = "SELECT outcome FROM ds_commit WHERE id = $1::bytea"
VERSIONS = """
SELECT t.n, r.version FROM ROWS FROM (
  unnest($1::bigint[]), unnest($2::bytea[]), generate_series(1, cardinality($1::bigint[]))
) AS t(scope, key, n)
JOIN ds_record r ON r.scope = t.scope AND r.key = ANY (ARRAY[t.key])
WHERE r.expires_at IS NULL OR r.expires_at > $3::bigint
"""

SWEEP = """
WITH held AS MATERIALIZED (
  SELECT r.id, r.version = s.version AND r.intent IS NULL AS same
  FROM ds_record s JOIN ds_record r ON r.id = s.id
  WHERE s.expires_at <= $1::bigint AND s.intent IS NULL
  ORDER BY s.expires_at LIMIT $2::bigint FOR UPDATE OF r SKIP LOCKED
), gone AS (
  SELECT id FROM held WHERE same
), removed AS (
  DELETE FROM ds_field f USING gone WHERE f.record = ANY (ARRAY[gone.id])
), deleted AS (
  DELETE FROM ds_record r USING gone WHERE r.id = ANY (ARRAY[gone.id])
)
SELECT count(*) FROM gone
"""
FORGET = """
WITH old AS MATERIALIZED (
  SELECT id FROM ds_commit WHERE id < $1::bytea ORDER BY id LIMIT $2::bigint FOR UPDATE SKIP LOCKED
)
DELETE FROM ds_commit c USING old WHERE c.id = ANY (ARRAY[old.id])
"""
