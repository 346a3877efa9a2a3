-- An item is rented, and every page that shows it is told: both or neither. psql -v item=7 -v person=anna -f rent.sql
BEGIN;

UPDATE items SET status = 'rented', rented_by = :'person', version = version + 1 WHERE id = :item;

-- to_json: what clients get is what the table has. Everybody but the one who did it.
SELECT roomcast_publish_data_change('Item', 'UPDATE', to_json(items), user_id => :'person', exclude_user_id => :'person')
FROM items WHERE id = :item;

SELECT roomcast_publish_notification('warehouse', json_build_object('title', 'To be fetched', 'message', name, 'itemId', id))
FROM items WHERE id = :item;

COMMIT;
