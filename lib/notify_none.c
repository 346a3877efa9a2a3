/* notify_none.c - notify.h without a service manager. */
#include <roomcast/notify.h>

void notify_ready(void)
{
}

void notify_stopping(void)
{
}
