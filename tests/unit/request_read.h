/*
 * request_read.h - the first half of a conversion: a client's body to c->request, where it stays.
 */
#ifndef REQUEST_READ_H
#define REQUEST_READ_H

#include "codec.h"
#include "json.h"
#include "params.h"

/* What convert_request() does before it writes: E_BAD_JSON or E_BAD_REQUEST, with a reason in
 * convert_error().
 * The request and c->temp live as long as `work`. */
static inline int request_read(struct convert *c, struct arena *work, struct str body)
{
    struct json_error why;
    int r = json_check(body, &why);
    if (r < 0) {
        (void)convert_reject(c, S(""), "%s", why.reason);
        return r;
    }
    c->request = (struct chat_request){ .max_tokens = -1, .format.strict = CHAT_ABSENT };
    c->temp = work;
    json_edit_init(&c->doc, work, body);
    if (json_type(json_root(&c->doc)) != JSON_OBJECT)
        return convert_reject(c, S(""), "not an object");
    r = params_decode(c, json_root(&c->doc));
    return r < 0 ? r : c->client->decode_request(c, json_root(&c->doc));
}

#endif
