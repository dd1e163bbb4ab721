/*
 * reply_check.h - what must hold for a reply whatever the upstream sends.
 */
#ifndef REPLY_CHECK_H
#define REPLY_CHECK_H

#include <stdint.h>

#include "../tests/unit/reply_read.h"

enum { REPLY_BODY = 8, REPLY_SMALL = 16, REPLY_WHOLE = 32, REPLY_STEP = 6 };

static inline void reply_check(enum protocol upstream, const uint8_t *bytes, size_t n)
{
    static const char *const whole_requests[PROTOCOL_COUNT] = {
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"input\":\"hi\"}",
    };
    static const struct profile_override think = { S_INIT("chat.think_tags"), S_INIT("yes") };
    if (n == 0)
        return;
    struct str in = { (const char *)bytes + 1, n - 1 };
    struct reply_run a = { .upstream = upstream, .client = bytes[0] % 3 };
    bool client_whole = (bytes[0] & REPLY_WHOLE) != 0;
    a.whole = (bytes[0] & REPLY_BODY) != 0;
    a.limit_bytes = (bytes[0] & REPLY_SMALL) != 0 ? 64 : 0;
    a.request = client_whole ? whole_requests[a.client] : NULL;
    a.overrides = &think;
    a.override_count = bytes[0] >> 7;

    struct reply_run b = a;
    b.step = (size_t)(bytes[0] >> REPLY_STEP) + 1;
    reply_run(&a, in);
    reply_run(&b, in);
    must(a.rc == b.rc);
    must(a.begun == b.begun);
    must(str_eq(buf_str(&a.out), buf_str(&b.out)));
    must(a.rc < 0 || a.ended);
    if (!client_whole)
        reply_read(&a);
    buf_done(&a.out);
    buf_done(&b.out);
}

#endif
