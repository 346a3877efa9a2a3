// An item is rented, and every page that shows it is told: both or neither. PGHOST, ITEM and PERSON say where and what.
import { PrismaPg } from "@prisma/adapter-pg";
import client from "@prisma/client";

import { publish, publishDataChange } from "./outbox.mjs";

const { PGHOST: host, ITEM: id, PERSON: person, FAIL } = process.env;
const prisma = new client.PrismaClient({ adapter: new PrismaPg({ host, user: "postgres", database: "postgres" }) });

try {
	await prisma.$transaction(async (tx) => {
		// The condition is part of the update, so that of two at the same time one fails.
		const item = await tx.item.update({
			where: { id: Number(id), NOT: { status: "rented" } },
			data: { status: "rented", rentedBy: person, version: { increment: 1 } },
		});
		await publishDataChange(tx, "Item", "UPDATE", item, { userId: person, excludeUserId: person });
		await publish(tx, "notification", { userId: "warehouse", notification: { title: "To be fetched", message: item.name } });
		if (FAIL) throw new Error("something went wrong at the end");
	});
} finally {
	await prisma.$disconnect();
}
