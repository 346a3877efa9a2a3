// roomcast's outbox for Prisma on PostgreSQL: call these with the client of prisma.$transaction, next to the change itself.

/** call: data-change, notification, system-notification, emit, ...; body: what the HTTP call would have. Gives the row's id. */
export async function publish(tx, call, body) {
	const [{ id }] = await tx.$queryRaw`SELECT roomcast_publish(${call}::text, ${JSON.stringify(body)}::text)::text AS id`;
	return id;
}

export async function publishDataChange(tx, entityType, action, data, { userId = null, excludeUserId = null, ifVersion = null } = {}) {
	const [{ id }] = await tx.$queryRaw`SELECT roomcast_publish_data_change(${entityType}::text, ${action}::text, ${JSON.stringify(data)}::text,
		${userId}::text, ${excludeUserId}::text, ${ifVersion}::bigint)::text AS id`;
	return id;
}
