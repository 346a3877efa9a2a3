/* trivial.c - the least that a FastCGI responder can do: it reads the body and says yes. What web server and libfcgi cost.
 *
 *   trivial SOCKET THREADS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fcgiapp.h>

static int listener;

static void *serve(void *data)
{
	FCGX_Request request;
	char body[65536];
	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		const char *length = FCGX_GetParam("CONTENT_LENGTH", request.envp);
		int left = length ? atoi(length) : 0, len;
		while (left > 0 && (len = FCGX_GetStr(body, left < (int)sizeof(body) ? left : (int)sizeof(body), request.in)) > 0)
			left -= len;
		FCGX_FPrintF(request.out, "Content-Type: application/json\r\n\r\n{\"success\":true,\"id\":\"1.1\",\"hubs\":1}");
		FCGX_Finish_r(&request);
	}
	return data;
}

int main(int argc, char **argv)
{
	if (argc != 3 || FCGX_Init()) {
		fputs("trivial SOCKET THREADS\n", stderr);
		return 2;
	}
	listener = FCGX_OpenSocket(argv[1], 1024);
	if (listener < 0 || chmod(argv[1], 0666)) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 1; i < atoi(argv[2]); i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, serve, NULL))
			return 1;
	}
	serve(NULL);
	return 0;
}
