-- roomcast's transactional outbox for PostgreSQL 13 or newer.
--
-- An event that is published inside the application's own transaction: when that commits, clients get it, once; when it is rolled back, nobody
-- ever does. The gateway (options outbox and outbox-connection) reads what was committed, journals each row under its id, and deletes it.
--
-- Run this file once in the application's database, in the schema that shall have the objects (the first of search_path); running it again
-- does no harm and brings the functions up to date. The application's role needs INSERT on roomcast_outbox, the gateway's SELECT, UPDATE and
-- DELETE. The gateway finds the table by the search_path of its connection.
--
-- Order: of two transactions, of which one began after the other had committed, the first one's events come first; within a transaction
-- they come in the order in which they were inserted. A row that the gateway refuses (its checks are those of an HTTP request) stays in the table
-- with the reason in "failure", and holds nothing up. Put right and with failure = NULL it is tried again.

CREATE TABLE IF NOT EXISTS roomcast_outbox (
	id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	position   bigint GENERATED ALWAYS AS IDENTITY,
	call       text NOT NULL,                       -- as in the path of the HTTP call: data-change, notification, emit, ...
	body       text NOT NULL CHECK (body::json IS NOT NULL), -- as in that call's body; its bytes go to the clients as they are
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	failure    text,
	failed_at  timestamptz
);

CREATE INDEX IF NOT EXISTS roomcast_outbox_waiting ON roomcast_outbox (position) WHERE failure IS NULL;

-- Any INSERT wakes the gateway when it is committed, from whatever tool it comes.
CREATE OR REPLACE FUNCTION roomcast_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY roomcast_outbox;
	RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS roomcast_outbox_wake ON roomcast_outbox;
CREATE TRIGGER roomcast_outbox_wake AFTER INSERT OR UPDATE OF failure ON roomcast_outbox FOR EACH STATEMENT EXECUTE FUNCTION roomcast_outbox_wake();

-- The functions. Each returns the row's id. JSON may be given as text, json or jsonb: the bytes of text and json are kept as they are,
-- jsonb has its own way of writing.

CREATE OR REPLACE FUNCTION roomcast_publish(call text, body text) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	INSERT INTO roomcast_outbox (call, body) VALUES ($1, $2) RETURNING id
$$;
CREATE OR REPLACE FUNCTION roomcast_publish(call text, body json) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish($1, $2::text)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish(call text, body jsonb) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish($1, $2::text)
$$;

-- A JSON object from names and raw values; what is NULL is left out.
CREATE OR REPLACE FUNCTION roomcast_outbox_object(VARIADIC members text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT '{' || string_agg(to_json(members[i]) || ':' || members[i + 1], ',' ORDER BY i) || '}'
	FROM generate_series(1, array_length(members, 1), 2) AS i WHERE members[i + 1] IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION roomcast_publish_data_change(entity_type text, action text, data json, user_id text DEFAULT NULL,
	exclude_user_id text DEFAULT NULL, if_version bigint DEFAULT NULL) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish('data-change', roomcast_outbox_object('entityType', to_json($1)::text, 'action', to_json($2)::text, 'data', $3::text,
		'userId', to_json($4)::text, 'excludeUserId', to_json($5)::text, 'ifVersion', $6::text))
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_data_change(entity_type text, action text, data text, user_id text DEFAULT NULL,
	exclude_user_id text DEFAULT NULL, if_version bigint DEFAULT NULL) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_data_change($1, $2, $3::json, $4, $5, $6)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_data_change(entity_type text, action text, data jsonb, user_id text DEFAULT NULL,
	exclude_user_id text DEFAULT NULL, if_version bigint DEFAULT NULL) RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_data_change($1, $2, $3::text::json, $4, $5, $6)
$$;

-- notification: {"title":..,"message":..,"type":..} and whatever else clients shall get.
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_ids text[], notification json) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish('notification', roomcast_outbox_object('userIds', to_json($1)::text, 'notification', $2::text))
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_ids text[], notification text) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_notification($1, $2::json)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_ids text[], notification jsonb) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_notification($1, $2::text::json)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_id text, notification json) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_notification(ARRAY[$1], $2)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_id text, notification text) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_notification(ARRAY[$1], $2::json)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_notification(user_id text, notification jsonb) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_notification(ARRAY[$1], $2::text::json)
$$;

CREATE OR REPLACE FUNCTION roomcast_publish_system_notification(title text, message text, type text DEFAULT NULL) RETURNS uuid
	LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish('system-notification', roomcast_outbox_object('title', to_json($1)::text, 'message', to_json($2)::text,
		'type', to_json($3)::text))
$$;

-- args: a JSON array. Without rooms: to everyone.
CREATE OR REPLACE FUNCTION roomcast_publish_emit(event text, args json DEFAULT '[]', rooms text[] DEFAULT NULL, except_rooms text[] DEFAULT NULL)
	RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish('emit', roomcast_outbox_object('event', to_json($1)::text, 'args', $2::text, 'rooms', to_json($3)::text,
		'except', to_json($4)::text))
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_emit(event text, args text, rooms text[] DEFAULT NULL, except_rooms text[] DEFAULT NULL)
	RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_emit($1, $2::json, $3, $4)
$$;
CREATE OR REPLACE FUNCTION roomcast_publish_emit(event text, args jsonb, rooms text[] DEFAULT NULL, except_rooms text[] DEFAULT NULL)
	RETURNS uuid LANGUAGE sql SET search_path FROM CURRENT AS $$
	SELECT roomcast_publish_emit($1, $2::text::json, $3, $4)
$$;
