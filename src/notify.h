/*
 * notify.h - tells a service manager what we are doing (sd_notify(3): datagrams to the socket
 * that NOTIFY_SOCKET names).
 *
 * Contract
 *   Without NOTIFY_SOCKET every call does nothing.  A message that cannot be delivered is
 *   lost: serving matters more.
 *   Watchdog   notify_watchdog_ns() says how often notify_alive() is due; 0: never.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>

struct notify {
    int fd; /* -1: nobody listens */
    int64_t watchdog_ns;
};

void notify_init(struct notify *n, char *const *environment);
void notify_ready(const struct notify *n);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n, int64_t requests_open);
void notify_alive(const struct notify *n);
int64_t notify_watchdog_ns(const struct notify *n);
void notify_done(struct notify *n);

#endif
