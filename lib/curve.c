/* curve.c - keys of tcp connections between hosts. */
#include <roomcast/curve.h>

#include <errno.h>

#include <zmq.h>

int curve_decode(const char *key, unsigned char out[static CURVE_KEY_BYTES], struct error *err)
{
	if (strlen(key) != CURVE_KEY_LEN || !zmq_z85_decode(out, key))
		return error_set(err, ERROR_INVALID, "not a key: it has %d characters, of those that Z85 knows", CURVE_KEY_LEN);
	return 0;
}

int curve_load(const char *secret_key, const char *server_key, struct curve *out, struct error *err)
{
	unsigned char bytes[CURVE_KEY_BYTES];
	*out = (struct curve){ .is_on = false };
	if (!secret_key[0])
		return server_key[0] ? error_set(err, ERROR_INVALID, "curve-server-key without curve-secret-key") : 0;
	if (curve_decode(secret_key, bytes, err))
		return error_context(err, "curve-secret-key");
	memcpy(out->secret_key, secret_key, sizeof(out->secret_key));
	if (zmq_curve_public(out->public_key, out->secret_key))
		return error_set(err, ERROR_SYSTEM, "curve-secret-key: %s", errno == ENOTSUP ? "this libzmq has no CURVE" : "it has no public key");
	if (server_key[0] && curve_decode(server_key, bytes, err))
		return error_context(err, "curve-server-key");
	memcpy(out->server_key, server_key[0] ? server_key : out->public_key, sizeof(out->server_key));
	out->is_on = true;
	return 0;
}

void curve_forget(struct curve *curve)
{
	explicit_bzero(curve, sizeof(*curve));
}

int curve_make(struct curve *out, struct error *err)
{
	*out = (struct curve){ .is_on = true };
	if (zmq_curve_keypair(out->public_key, out->secret_key))
		return error_set(err, ERROR_SYSTEM, "no keys: %s", errno == ENOTSUP ? "this libzmq has no CURVE" : zmq_strerror(errno));
	return 0;
}

static bool is_for(const struct curve *curve, const char *endpoint)
{
	return curve->is_on && strncmp(endpoint, "ipc://", 6) != 0;
}

static int set_text(void *socket, int option, const char *text)
{
	return zmq_setsockopt(socket, option, text, strlen(text) + 1);
}

int curve_serve(const struct curve *curve, void *socket, const char *endpoint)
{
	int yes = 1;
	if (!is_for(curve, endpoint))
		return 0;
	return zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes)) || set_text(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key)
	        || zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "roomcast", sizeof("roomcast") - 1) ? -1 : 0;
}

int curve_connect(const struct curve *curve, void *socket, const char *endpoint)
{
	if (!is_for(curve, endpoint))
		return curve->is_on ? zmq_setsockopt(socket, ZMQ_PLAIN_USERNAME, NULL, 0) : 0; /* back to none */
	return set_text(socket, ZMQ_CURVE_SERVERKEY, curve->server_key) || set_text(socket, ZMQ_CURVE_PUBLICKEY, curve->public_key)
	        || set_text(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key) ? -1 : 0;
}
