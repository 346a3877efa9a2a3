/* status.c - the gateway's figures as JSON. */
#include "status.h"

#include <inttypes.h>

#include <roomcast/clock.h>

static uint64_t lag_of(const struct hub *hub, const struct line_figures *figures)
{
	if (hub->epoch != figures->epoch)
		return figures->published_seq;
	return hub->seq < figures->published_seq ? figures->published_seq - hub->seq : 0;
}

void status_add_hubs(const struct line_figures *figures, struct buffer *out)
{
	buffer_add_char(out, '[');
	for (size_t i = 0; i < figures->hubs.count; i++) {
		const struct hub *hub = &figures->hubs.items[i];
		uint64_t silent_ms = figures->now_ms > hub->heard_ms ? figures->now_ms - hub->heard_ms : 0;
		buffer_add_format(out, "%s{\"name\":\"%s\",\"clients\":%" PRIu64 ",\"rooms\":%" PRIu64 ",\"lag\":%" PRIu64
		                  ",\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"lastReportSeconds\":%.1f}", i ? "," : "", hub->name, hub->clients,
		                  hub->rooms, lag_of(hub, figures), hub->epoch, hub->seq, (double)silent_ms / 1000);
	}
	buffer_add_char(out, ']');
}

/* Those that were there a while ago. */
static void add_silent_hubs(const struct line_figures *figures, struct buffer *out)
{
	buffer_add_text(out, "\"silentHubs\":[");
	for (size_t i = 0; i < figures->hubs.silent_count; i++) {
		const struct silent_hub *hub = &figures->hubs.silent[i];
		buffer_add_format(out, "%s{\"name\":\"%s\",\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"lastReportSeconds\":%.1f}", i ? "," : "", hub->name, hub->epoch,
		                  hub->seq, (double)(figures->now_ms - hub->heard_ms) / 1000);
	}
	buffer_add_text(out, "],");
}

static void add_totals(const struct line_figures *figures, struct buffer *out)
{
	uint64_t rooms = 0, lag = 0;
	for (size_t i = 0; i < figures->hubs.count; i++) {
		uint64_t hub_lag = lag_of(&figures->hubs.items[i], figures);
		rooms += figures->hubs.items[i].rooms;
		lag = hub_lag > lag ? hub_lag : lag;
	}
	buffer_add_format(out, "\"clients\":%" PRIu64 ",\"rooms\":%" PRIu64 ",\"lag\":%" PRIu64 ",", hubs_clients(&figures->hubs), rooms, lag);
}

static const char *role_of(const struct sequencer_figures *sequencer)
{
	return sequencer->state == SEQUENCER_ACTIVE ? "active" : sequencer->state == SEQUENCER_STANDBY ? "standby" : "unavailable";
}

static void add_journal(struct gateway *gateway, struct buffer *out)
{
	struct sequencer_figures sequencer;
	sequencer_figures(gateway->sequencer, &sequencer);
	buffer_add_format(out, "\"role\":\"%s\",\"epoch\":%" PRIu64 ",\"lastSeq\":%" PRIu64 ",\"journal\":{\"kind\":\"%s\",\"state\":\"%s\"", role_of(&sequencer),
	                  sequencer.epoch, sequencer.last_seq, gateway->journal->operations->name, sequencer_state_name(sequencer.state));
	if (sequencer.reason[0]) {
		buffer_add_text(out, ",\"reason\":");
		buffer_add_json_string(out, bytes_of(sequencer.reason));
	}
	buffer_add_format(out, ",\"stored\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"groups\":%" PRIu64 ",\"waiting\":%zu,\"busySeconds\":%.1f},", sequencer.stored,
	                  sequencer.failed, sequencer.groups, sequencer.waiting, (double)sequencer.busy_ms / 1000);
}

static void add_requests(struct gateway *gateway, struct buffer *out)
{
	struct counters *counters = &gateway->counters;
	uint64_t now_ms = clock_monotonic_ms();
	const char *comma = "";
	buffer_add_format(out, "\"rates\":{\"requestsPerSecond\":%.1f,\"eventsPerSecond\":%.1f},\"requests\":{\"total\":%llu,\"accepted\":%llu,\"refused\":{",
	                  rate_per_second(&counters->request_rate, now_ms), rate_per_second(&counters->publish_rate, now_ms),
	                  atomic_load(&counters->requests), atomic_load(&counters->accepted));
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		unsigned long long refused = atomic_load(&counters->refused[i]);
		if (!refused)
			continue;
		buffer_add_format(out, "%s\"%s\":%llu", comma, refusal_word((enum refusal)i), refused);
		comma = ",";
	}
	buffer_add_text(out, "}},");
}

static void add_line(const struct line_figures *figures, struct buffer *out)
{
	buffer_add_text(out, "\"line\":{");
	for (int i = 0; i < LINE_COUNTER_COUNT; i++)
		buffer_add_format(out, "%s\"%s\":%" PRIu64, i ? "," : "", line_counter_name((enum line_counter)i), figures->counters[i]);
	buffer_add_text(out, "},");
}

void status_handle(struct call *call)
{
	struct gateway *gateway = call->gateway;
	struct line_figures figures;
	struct buffer *out = &call->response->body;
	line_figures(gateway->line, &figures);
	buffer_add_text(out, "{\"success\":true,\"hubs\":");
	status_add_hubs(&figures, out);
	buffer_add_char(out, ',');
	add_silent_hubs(&figures, out);
	add_totals(&figures, out);
	add_journal(gateway, out);
	add_requests(gateway, out);
	add_line(&figures, out);
	if (gateway->outbox)
		outbox_add_status(gateway->outbox, out);
	if (gateway->forward)
		forward_add_status(gateway->forward, out);
	if (gateway->carrier_status)
		gateway->carrier_status(gateway->carrier, out);
	buffer_add_format(out, "\"uptimeSeconds\":%" PRIu64 "}", (clock_monotonic_ms() - gateway->started_ms) / 1000);
	call->response->status = 200;
}
