/*
 * traffic.h - the load tool: an upstream that streams at a pace, and clients that time it.
 *
 * Loopback and HTTP/1.1 only.  Errors:  what fails ends the program with a message.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <stdint.h>

#include "buf.h"
#include "must.h"
#include "str.h"

_Noreturn void traffic_fail(const char *what);
int traffic_listen(uint16_t port); /* 0: any; not blocking */
uint16_t traffic_port(int fd);
int traffic_connect(uint16_t port); /* blocking, TCP_NODELAY */
void traffic_send(int fd, struct str bytes);
uint16_t traffic_port_of(const char *text);
struct buf traffic_file(const char *path); /* the file's bytes; buf_done() */
int64_t traffic_number(const char *text);
/* Bytes that a message at the start of `in` takes, or 0 while it is not whole.  A request or reply
 * with content-length or in chunks. */
size_t traffic_message(struct str in);

/* Each is a subcommand, with its own arguments. */
int traffic_upstream(int argc, char **argv);
int traffic_streams(int argc, char **argv);
int traffic_latency(int argc, char **argv);
int traffic_cancel(int argc, char **argv);

#endif
