/*
 * Error replies of upstreams.  The first byte chooses the status, the rest is the body.
 * Invariants: every body gives an error with a status and a message; what each client gets is JSON
 * of its protocol's shape, and means the same when it is read again.
 */
#include <stddef.h>
#include <stdint.h>

#include "body_check.h"
#include "convert.h"

static const int statuses[] = { 0,   200, 400, 401, 403, 404, 408, 413, 422,
                                429, 499, 500, 502, 503, 504, 529, 599 };

static void check_shape(enum protocol client, struct str body)
{
    static const char *const openai[] = { "message", "type", "param", "code" };
    yyjson_doc *doc;
    must(json_parse(body, &doc, NULL) == 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *error = json_member(root, S("error"));
    must(json_member_str(error, S("message")).n > 0);
    must(json_member_str(error, S("type")).n > 0);
    if (client == PROTOCOL_MESSAGES)
        must(str_eq(json_member_str(root, S("type")), S("error")));
    else
        for (size_t i = 0; i < ARRAY_LEN(openai); i++)
            must(json_member(error, str_of(openai[i])) != NULL);
    yyjson_doc_free(doc);
}

static void check_client(enum protocol client, const struct event_error *error, struct arena *a)
{
    struct event_error again;
    struct buf out, second;
    buf_init(&out, SIZE_MAX);
    buf_init(&second, SIZE_MAX);
    int status = convert_error_write(client, error, S("req_1"), &out);
    must(status == error->status || (status == 503 && error->status == 529));
    body_check(buf_str(&out));
    check_shape(client, buf_str(&out));
    convert_error_read(a, status, buf_str(&out), &again);
    must(convert_error_write(client, &again, S("req_1"), &second) == status);
    buf_done(&second);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct arena a;
    struct event_error error;
    int status = statuses[bytes[0] % ARRAY_LEN(statuses)];
    arena_init(&a, SIZE_MAX / 2);
    convert_error_read(&a, status, (struct str){ (const char *)bytes + 1, n - 1 }, &error);
    must(error.status >= 400);
    must(error.status <= 599);
    must(error.message.n > 0);
    must(error.message.n <= 2000);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        check_client((enum protocol)p, &error, &a);
    arena_done(&a);
    return 0;
}
