/*
 * server_limits.h - the limits that servers have in tests; a test changes the ones it is about.
 */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include "clock.h"
#include "server.h"

static inline struct server_limits default_limits(void)
{
    return (struct server_limits){
        .h1 = { .header_bytes = 32768,
                .field_bytes = 8192,
                .target_bytes = 8192,
                .fields_max = 100 },
        .h2 = { .header_bytes = 65536,
                .field_bytes = 65536,
                .target_bytes = 8192,
                .fields_max = 100,
                .streams_max = 100 },
        .header_ns = 10 * NS_PER_S,
        .keepalive_ns = 75 * NS_PER_S,
        .write_ns = 60 * NS_PER_S,
        .body_grace_ns = 10 * NS_PER_S,
        .body_bytes_per_s = 500,
        .conns_max = 100,
    };
}

#endif
