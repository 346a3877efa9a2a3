"""What a new database begins with."""
import json
from datetime import date, datetime, timedelta, timezone

USERS = (
    {"id": "mara", "name": "Mara Lindqvist", "role": "Rental desk"},
    {"id": "jonas", "name": "Jonas Weber", "role": "Warehouse"},
    {"id": "priya", "name": "Priya Nair", "role": "Workshop"},
    {"id": "tomas", "name": "Tomás Ferreira", "role": "Manager"},
)
WORKSHOP = "priya"

# tag, name, category, status, location, quantity, days until due, notes, who, minutes ago
ITEMS = (
    ("CAM-001", "ARRI Alexa 35 body", "Camera", "rented", "Stage 4, Halden Films", 1, 3, "With Lira charger and two media drives.", 0, 47),
    ("CAM-002", "Sony FX6 kit", "Camera", "available", "Shelf A2", 3, None, "", 1, 190),
    ("CAM-003", "Blackmagic URSA 12K", "Camera", "service", "Workshop bench 1", 1, 2, "Fan noise above 30 degrees; part is ordered.", 2, 95),
    ("CAM-007", "Canon C70 kit", "Camera", "rented", "On location, Oslo", 2, 0, "Documentary crew, returns tonight.", 0, 1500),
    ("LNS-010", "Cooke S4/i prime set, 6 lenses", "Lens", "available", "Lens cabinet 1", 1, None, "Checked on the bench this week.", 1, 260),
    ("LNS-014", "Angénieux EZ-1 zoom", "Lens", "rented", "Stage 4, Halden Films", 1, 3, "", 0, 46),
    ("LNS-021", "Sigma Cine FF set, 5 lenses", "Lens", "available", "Lens cabinet 2", 2, None, "", 3, 4000),
    ("LGT-002", "ARRI SkyPanel S60-C", "Light", "available", "Bay C, pallet 3", 6, None, "", 1, 330),
    ("LGT-005", "Aputure LS 1200d Pro", "Light", "rented", "Riverside Studios", 2, 6, "With Fresnel F10.", 0, 610),
    ("LGT-008", "Astera Titan Tube set of 8", "Light", "rented", "Northern Stage Festival", 2, -1, "Client was called; driver goes tomorrow.", 3, 22),
    ("LGT-011", "Nanlux Evoke 900C", "Light", "service", "Workshop bench 2", 1, 5, "Output drops after an hour.", 2, 140),
    ("AUD-001", "Sound Devices 833 recorder", "Audio", "available", "Audio cage", 2, None, "", 1, 2100),
    ("AUD-004", "Sennheiser EW-DX twin set", "Audio", "available", "Audio cage", 5, None, "Band agreed with the festival: 1G8.", 1, 75),
    ("AUD-006", "Schoeps CMIT 5U shotgun", "Audio", "rented", "On location, Oslo", 1, 0, "", 0, 1500),
    ("GRP-003", "Dana Dolly kit", "Grip", "available", "Bay D", 2, None, "", 3, 5200),
    ("GRP-009", "Ronin 2 gimbal", "Grip", "available", "Shelf A5", 1, None, "Firmware is current.", 2, 840),
    ("PWR-002", "Block battery 26 V, pair", "Power", "available", "Charging wall", 8, None, "", 1, 410),
    ("PWR-005", "Honda EU70is generator", "Power", "rented", "Northern Stage Festival", 1, 8, "", 0, 1900),
)

# item's tag, who, minutes ago, field, from, to
CHANGES = (
    ("AUD-004", 1, 75, {"quantity": [4, 5]}),
    ("CAM-001", 0, 47, {"status": ["available", "rented"], "location": ["Shelf A1", "Stage 4, Halden Films"]}),
    ("LNS-014", 0, 46, {"status": ["available", "rented"]}),
    ("LGT-008", 3, 22, {"notes": ["", "Client was called; driver goes tomorrow."]}),
)


def public(user):
    return {"id": user["id"], "name": user["name"]}


def fill(store):
    moment = datetime.now(timezone.utc)

    def ago(minutes):
        return (moment - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    with store.db:
        for tag, name, category, status, location, quantity, days, notes, who, minutes in ITEMS:
            due = None if days is None else (date.today() + timedelta(days=days)).isoformat()
            store.db.execute(
                "INSERT INTO item (tag, name, category, status, location, quantity, due, notes, version, updated_by, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
                (tag, name, category, status, location, quantity, due, notes, json.dumps(public(USERS[who])), ago(minutes)))
        for tag, who, minutes, what in CHANGES:
            store.db.execute(
                "INSERT INTO change (at, who, action, item, name, what)"
                " SELECT ?, ?, 'UPDATE', id, name, ? FROM item WHERE tag = ?",
                (ago(minutes), json.dumps(public(USERS[who])), json.dumps(what), tag))
