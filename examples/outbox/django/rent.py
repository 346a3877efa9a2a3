"""An item is rented, and every page that shows it is told: both or neither. Run with DJANGO_DATABASE_HOST, ITEM and PERSON set."""
import os

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["DJANGO_DATABASE_HOST"],
            "USER": "postgres",
            "NAME": "postgres",
        }
    },
)
django.setup()

from django.db import models, transaction  # noqa: E402

from outbox import publish, publish_data_change  # noqa: E402


class Item(models.Model):
    name = models.TextField()
    status = models.TextField()
    rented_by = models.TextField(null=True)
    version = models.IntegerField()

    class Meta:
        app_label = "rental"
        db_table = "items"


def rent(item_id, person):
    with transaction.atomic():
        item = Item.objects.select_for_update().get(pk=item_id)
        if item.status == "rented":
            raise ValueError("it is rented already")
        item.status, item.rented_by, item.version = "rented", person, item.version + 1
        item.save()
        publish_data_change(
            "Item",
            "UPDATE",
            {"id": item.id, "name": item.name, "status": item.status, "rented_by": item.rented_by, "version": item.version},
            user_id=person,
            exclude_user_id=person,
        )
        publish("notification", {"userId": "warehouse", "notification": {"title": "To be fetched", "message": item.name}})
        if os.environ.get("FAIL"):
            raise RuntimeError("something went wrong at the end")


if __name__ == "__main__":
    rent(int(os.environ["ITEM"]), os.environ["PERSON"])
