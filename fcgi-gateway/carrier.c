/* carrier.c - the FastCGI side of a process, as one. */
#include "carrier.h"

int carrier_open(struct carrier *carrier, const struct gateway_config *config, struct error *err)
{
	return listener_open(config->listen, config->listen_mode, &carrier->listener, err);
}

int carrier_start(struct carrier *carrier, const struct gateway_config *config, const struct fcgi_settings *handlers, struct error *err)
{
	struct intake_settings intake = {
		.max_connections = (size_t)config->max_connections, .max_body = (size_t)config->max_body,
		.progress_ms = (uint64_t)config->request_timeout, .request_ms = 6 * (uint64_t)config->request_timeout,
		.idle_ms = (uint64_t)config->idle_timeout,
	};
	struct fcgi_settings fcgi = *handlers;
	fcgi.threads = (size_t)config->threads;
	fcgi.mount = config->mount;
	carrier->intake = intake_new(carrier->listener.fd, &intake, err);
	if (!carrier->intake)
		return -1;
	carrier->fcgi = fcgi_new(carrier->intake, &fcgi, err);
	return carrier->fcgi ? 0 : -1;
}

void carrier_add_status(void *data, struct buffer *out)
{
	const struct carrier *carrier = data;
	intake_add_status(carrier->intake, out);
}

void carrier_stop(struct carrier *carrier)
{
	if (carrier->intake)
		intake_stop(carrier->intake);
}

void carrier_close(struct carrier *carrier)
{
	fcgi_free(carrier->fcgi);
	intake_free(carrier->intake);
	listener_close(&carrier->listener);
	carrier->fcgi = NULL;
	carrier->intake = NULL;
}
