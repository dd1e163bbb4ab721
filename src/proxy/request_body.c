#include "request_body.h"

#include <string.h>

#include "clock.h"
#include "coding.h"
#include "err.h"
#include "json.h"
#include "json_scan.h"
#include "request_log.h"
#include "text.h"

enum {
    SHOWN_MODEL_MAX = 1024, /* of a name that is kept for the reply */
    BODY_AHEAD = 16,        /* room is made for so many times what has come, up to content-length */
    HEADERS_ADDED = 2,      /* by adapters, as a rule */
};

/* What the proxy reads: given twice, it and the upstream could read different ones. */
enum { READ_MODEL, READ_STREAM, READ_MESSAGES, READ_INPUT, READ_N = 9 };

static const struct json_wanted read_names[READ_N] = {
    [READ_MODEL] = { .name = S_INIT("model") },
    [READ_STREAM] = { .name = S_INIT("stream") },
    [READ_MESSAGES] = { .name = S_INIT("messages") },
    [READ_INPUT] = { .name = S_INIT("input") },
    { .name = S_INIT("system") },
    { .name = S_INIT("instructions") },
    { .name = S_INIT("metadata") },
    { .name = S_INIT("tools") },
    { .name = S_INIT("thinking") },
};

static const struct json_wanted *find_duplicate(const struct json_wanted *read)
{
    for (size_t i = 0; i < READ_N; i++)
        if (read[i].twice)
            return &read[i];
    return NULL;
}

static void read_request(struct request *r, const struct json_wanted *read)
{
    const struct json_wanted *list =
        &read[read[READ_MESSAGES].raw.n > 0 ? READ_MESSAGES : READ_INPUT];
    struct str model = read[READ_MODEL].raw;
    int64_t count = str_starts(list->raw, S("\"")) ? 1 : (int64_t)list->items;
    r->wants_stream = str_eq(read[READ_STREAM].raw, S("true"));
    if (model.n > 0 && model.p[0] == '"') {
        struct str name = text_plain(&r->work, (struct text){ model.p + 1, model.n - 2 });
        r->model = arena_str(&r->arena, str_slice(name, 0, 256));
    }
    request_log_request(r, count);
}

static bool has_too_many(const struct request *r, struct str text)
{
    size_t limit = (size_t)r->worker->config->max_json_values;
    return text.n / 2 + 1 > limit && json_items(text) > limit;
}

static void open_text(struct request *r, struct str text)
{
    json_edit_init(r->adapting->edit, &r->work, text);
    r->adapting->edit->nodes = &r->nodes;
}

/* text: the decoded body. */
static int parse_body(struct request *r, struct str text)
{
    struct json_error error;
    if (str_starts(text, S("\xef\xbb\xbf")))
        text = str_slice(text, 3, text.n); /* one is tolerated (EW3.2) */
    if (json_check(text, &error) < 0) {
        r->err_text = arena_printf(&r->arena, "the request body is not valid JSON: %s at byte %zu",
                                   error.reason, error.offset);
        r->refusal = error.too_deep ? REFUSAL_JSON_DEPTH : REFUSAL_JSON;
        return E_BAD_JSON;
    }
    struct json_wanted read[READ_N];
    struct str root = str_trim(text);
    if (root.p[0] != '{')
        return E_NOT_OBJECT;
    if (has_too_many(r, text)) {
        r->refusal = REFUSAL_JSON_VALUES;
        return E_TOO_LARGE;
    }
    memcpy(read, read_names, sizeof(read));
    json_look(root, read, READ_N);
    const struct json_wanted *twice = find_duplicate(read);
    if (twice != NULL) {
        r->refusal = REFUSAL_JSON_TWICE;
        r->err_text =
            arena_printf(&r->arena, STR_FMT ": given more than once", STR_ARG(twice->name));
        return E_BAD_REQUEST;
    }
    read_request(r, read);
    r->adapting->edit = arena_new(&r->work, struct json_edit, 1);
    open_text(r, text);
    return 0;
}

/* Adapters edit a list of their own: the original is still needed when `work` is gone. */
static struct http_headers *headers_to_edit(struct request *r)
{
    struct http_headers *h = arena_new(&r->work, struct http_headers, 1);
    http_reserve(h, &r->work, r->head.headers.n + HEADERS_ADDED);
    for (size_t i = 0; i < r->head.headers.n; i++)
        http_add(h, &r->work, r->head.headers.v[i].name, r->head.headers.v[i].value);
    return h;
}

void request_body_begin(struct request *r)
{
    struct adapter_request *ar = arena_new(&r->work, struct adapter_request, 1);
    *ar = (struct adapter_request){
        .arena = &r->work,
        .service = r->service,
        .protocol = r->upstream_protocol,
        .upstream_protocol = r->upstream_protocol,
        .path = r->route.path,
        .headers = headers_to_edit(r),
        .credential = r->credential.value,
        .unix_s = clock_unix_ms() / 1000,
        .session_secret = r->worker->config->session_secret,
    };
    r->adapting = ar;
}

void request_body_add(struct request *r, struct str bytes)
{
    struct buf *b = &r->body;
    size_t have = buf_len(b) + bytes.n;
    size_t announced = r->head.content_length > 0 ? (size_t)r->head.content_length : 0;
    if (have > b->cap && have < announced) {
        size_t more = have * (BODY_AHEAD - 1);
        more = more < announced - have ? more : announced - have;
        (void)!buf_reserve(b, bytes.n + more);
    }
    buf_add(b, bytes);
}

static size_t held_bytes(const struct request *r)
{
    struct str forms[] = { buf_str(&r->body), buf_str(&r->decoded), r->edited,
                           buf_str(&r->converted) };
    size_t sum = r->send_body.n; /* renamed */
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        sum += r->send_body.p == forms[i].p ? forms[i].n - r->send_body.n : forms[i].n;
    return sum;
}

void request_body_count(struct request *r)
{
    size_t held = held_bytes(r);
    r->worker->bodies_bytes += held - r->held_bytes;
    r->held_bytes = held;
}

bool request_body_over(const struct request *r, size_t bytes)
{
    size_t held = worker_buffered_bytes(r->worker), limit = r->worker->config->max_buffered_bytes;
    return held > limit || bytes > limit - held;
}

int request_body_parse(struct request *r)
{
    struct str text = buf_str(&r->body);
    struct str coding = http_join(&r->head.headers, S("content-encoding"), &r->work);
    request_body_begin(r);
    if (!coding_is_identity(coding)) {
        buf_init(&r->decoded, r->worker->config->max_body_bytes);
        int e = coding_decode(coding, text, r->decoded.limit_bytes, &r->decoded);
        if (e == E_TOO_LARGE)
            r->refusal = REFUSAL_DECODED_SIZE;
        if (e < 0)
            return e;
        text = buf_str(&r->decoded);
    }
    return parse_body(r, text);
}

/* Token counting takes fewer members than the request it counts for: what an adapter added
 * beyond them is taken out again. */
static void trim_count_tokens(struct request *r)
{
    static const struct str refused[] = { S_INIT("max_tokens"), S_INIT("metadata"),
                                          S_INIT("stream") };
    struct json_edit original;
    json_edit_init(&original, &r->work, r->adapting->edit->text);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct json_node *n =
            json_find(r->adapting->edit, json_root(r->adapting->edit), refused[i]);
        if (n != NULL && json_find(&original, json_root(&original), refused[i]) == NULL)
            json_remove(r->adapting->edit, n);
    }
}

void request_body_choose(struct request *r)
{
    struct adapter_request *ar = r->adapting;
    r->send_body = buf_str(&r->body);
    if (r->raw || ar->edit == NULL)
        return;
    if (r->route.endpoint == ENDPOINT_COUNT_TOKENS && json_edit_changed(ar->edit))
        trim_count_tokens(r);
    if (!json_edit_changed(ar->edit) && r->decoded.p == NULL)
        return;
    struct str before = ar->edit->text;
    r->send_body = json_edit_text(ar->edit);
    buf_done(r->decoded.p != NULL ? &r->body : &r->decoded);
    if (r->send_body.p == before.p)
        return;
    r->edited = r->send_body;
    buf_done(&r->body);
    buf_done(&r->decoded);
    arena_reset(&r->nodes);
    open_text(r, r->edited);
}

int request_body_rename(struct request *r)
{
    struct json_edit *e = r->adapting->edit;
    if (e == NULL) /* only a raw adapter lets it come here */
        return r->unread;
    struct json_node *model = json_find(e, json_root(e), S("model"));
    if (model == NULL || json_type(model) != JSON_STRING)
        return 0;
    struct str raw = json_raw(e, model), wanted = json_quote(&r->work, r->upstream_model);
    if (str_eq(raw, wanted))
        return 0;
    r->shown_model =
        raw.n <= SHOWN_MODEL_MAX ? arena_str(&r->arena, raw) : json_quote(&r->arena, r->model);
    json_replace(e, model, wanted);
    r->send_body = json_edit_text(e);
    return 0;
}
