/* notify.h - tells the service manager what the daemon is doing (sd_notify(3)). Does nothing when nobody asked to be told. */
#ifndef ROOMCAST_NOTIFY_H
#define ROOMCAST_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);

#endif
