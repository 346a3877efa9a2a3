"""roomcast's outbox for Django on PostgreSQL: call these inside transaction.atomic(), next to the change itself."""
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
import json


def publish(call, body):
    """call: data-change, notification, system-notification, emit, ...; body: what the HTTP call would have."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT roomcast_publish(%s, %s::text)", [call, json.dumps(body, cls=DjangoJSONEncoder)])
        return cursor.fetchone()[0]


def publish_data_change(entity_type, action, data, user_id=None, exclude_user_id=None, if_version=None):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT roomcast_publish_data_change(%s, %s, %s::text, %s::text, %s::text, %s::bigint)",
            [entity_type, action, json.dumps(data, cls=DjangoJSONEncoder), user_id, exclude_user_id, if_version],
        )
        return cursor.fetchone()[0]
