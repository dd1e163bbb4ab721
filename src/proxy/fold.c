#include "fold.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fold_internal.h"
#include "mem.h"

enum { ERROR_TYPE_MAX = 64, ERROR_MESSAGE_MAX = 2000 };

/* --- what is kept --- */

int fold_keep(struct fold *f, size_t bytes)
{
    if (bytes > f->limit_bytes - f->kept_bytes)
        return E_UPSTREAM_EVENT;
    f->kept_bytes += bytes;
    return 0;
}

int fold_small(yyjson_val *object)
{
    return yyjson_is_obj(object) && yyjson_obj_size(object) <= FOLD_MEMBERS_MAX ? 0
                                                                                : E_UPSTREAM_EVENT;
}

static void part_free(struct fold_part *part)
{
    buf_done(&part->start);
    for (size_t i = 0; i < FOLD_GROWN_MAX; i++)
        buf_done(&part->grown[i]);
    free(part);
}

static void drop_parts(struct fold *f)
{
    for (size_t i = 0; i < f->part_count; i++)
        part_free(f->parts[i]);
    free(f->parts);
    f->parts = NULL;
    f->part_count = f->part_cap = 0;
}

/* How many parts have an index of at most this. */
static size_t parts_up_to(const struct fold *f, uint64_t index)
{
    size_t low = 0, high = f->part_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->parts[mid]->index <= index)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct fold_part *part_new(uint64_t index, struct str raw)
{
    struct fold_part *part = mem_new(struct fold_part);
    part->index = index;
    buf_init(&part->start, SIZE_MAX); /* fold_keep() is the limit */
    buf_add(&part->start, raw);
    for (size_t i = 0; i < FOLD_GROWN_MAX; i++)
        buf_init(&part->grown[i], SIZE_MAX);
    return part;
}

/* Without an index the event means the next part. */
int fold_part_add(struct fold *f, const struct fold_event *ev, struct str index_name,
                  struct str raw)
{
    uint64_t index;
    if (!json_member_u64(ev->root, index_name, &index))
        index = f->part_count > 0 ? f->parts[f->part_count - 1]->index + 1 : 0;
    if (f->part_count == FOLD_PARTS_MAX)
        return E_UPSTREAM_EVENT;
    int e = fold_keep(f, raw.n + sizeof(struct fold_part));
    if (e < 0)
        return e;
    if (f->part_count == f->part_cap) {
        f->part_cap = f->part_cap > 0 ? f->part_cap * 2 : 8;
        f->parts = mem_realloc(f->parts, f->part_cap * sizeof(struct fold_part *));
    }
    size_t at = parts_up_to(f, index);
    memmove(f->parts + at + 1, f->parts + at, (f->part_count - at) * sizeof(struct fold_part *));
    f->parts[at] = part_new(index, raw);
    f->part_count++;
    return 0;
}

struct fold_part *fold_part_find(const struct fold *f, const struct fold_event *ev,
                                 struct str index_name)
{
    uint64_t index;
    if (f->part_count == 0)
        return NULL;
    if (!json_member_u64(ev->root, index_name, &index))
        return f->parts[f->part_count - 1];
    size_t at = parts_up_to(f, index);
    return at > 0 && f->parts[at - 1]->index == index ? f->parts[at - 1] : NULL;
}

/* --- error events --- */

struct error_row {
    struct str name; /* of a code or a type */
    int status;
    const char *type; /* when the event names none */
};

static const struct error_row *find_error(struct str name)
{
    static const struct error_row rows[] = {
        { S_INIT("invalid_request_error"), 400, "invalid_request_error" },
        { S_INIT("invalid_prompt"), 400, "invalid_request_error" },
        { S_INIT("context_length_exceeded"), 400, "invalid_request_error" },
        { S_INIT("authentication_error"), 401, "authentication_error" },
        { S_INIT("billing_error"), 402, "billing_error" },
        { S_INIT("permission_error"), 403, "permission_error" },
        { S_INIT("not_found_error"), 404, "not_found_error" },
        { S_INIT("request_too_large"), 413, "request_too_large" },
        { S_INIT("rate_limit_error"), 429, "rate_limit_error" },
        { S_INIT("rate_limit_exceeded"), 429, "rate_limit_error" },
        { S_INIT("insufficient_quota"), 429, "rate_limit_error" },
        { S_INIT("overloaded_error"), 529, "overloaded_error" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static int fail_as(struct fold *f, int status, struct str type, struct str message)
{
    if (type.n == 0)
        type = S("api_error");
    if (message.n == 0)
        message = S("the upstream reported an error");
    f->state = FOLD_FAILED;
    f->error_status = status;
    buf_add(&f->error_type, str_slice(type, 0, ERROR_TYPE_MAX));
    buf_add(&f->error_message, str_slice(message, 0, ERROR_MESSAGE_MAX));
    return E_UPSTREAM_STREAM;
}

int fold_fail(struct fold *f, yyjson_val *error)
{
    struct str type = json_member_str(error, S("type"));
    struct str message = json_member_str(error, S("message"));
    const struct error_row *row = find_error(json_member_str(error, S("code")));
    if (row == NULL)
        row = find_error(type);
    if (str_eq(type, S("error"))) /* the flat form: that is the event's own type */
        type = S("");
    if (type.n == 0 && row != NULL)
        type = str_of(row->type);
    return fail_as(f, row != NULL ? row->status : 502, type, message);
}

/* Nested, flat, or an error that is only a text. */
static int error_event(struct fold *f, const struct fold_event *ev)
{
    yyjson_val *error = json_member(ev->root, S("error"));
    if (yyjson_is_str(error))
        return fail_as(f, 502, S(""), json_str(error));
    return fold_fail(f, yyjson_is_obj(error) ? error : ev->root);
}

/* --- responses --- */

static bool is_empty_array(struct json_edit *e, struct json_node *n)
{
    if (n == NULL || json_type(n) != JSON_ARRAY)
        return true;
    struct str raw = json_raw(e, n);
    return str_trim(str_slice(raw, 1, raw.n - 1)).n == 0;
}

static int response_terminal(struct fold *f, struct fold_event *ev)
{
    int e = fold_small(json_member(ev->root, S("response")));
    if (e < 0)
        return e;
    struct json_node *response = json_find(&ev->edit, json_root(&ev->edit), S("response"));
    struct str raw = json_raw(&ev->edit, response);
    if (!is_empty_array(&ev->edit, json_find(&ev->edit, response, S("output")))) {
        drop_parts(f);
        f->kept_bytes = 0;
    }
    e = fold_keep(f, raw.n);
    if (e < 0)
        return e;
    buf_add(&f->reply, raw);
    f->state = FOLD_ENDED;
    return 0;
}

static int responses_event(struct fold *f, struct fold_event *ev)
{
    struct json_node *root = json_root(&ev->edit);
    if (f->state == FOLD_START)
        f->state = FOLD_OPEN;
    if (str_eq(ev->kind, S("response.output_item.done"))) {
        struct json_node *item = json_find(&ev->edit, root, S("item"));
        if (item == NULL || json_type(item) != JSON_OBJECT)
            return E_UPSTREAM_EVENT;
        return fold_part_add(f, ev, S("output_index"), json_raw(&ev->edit, item));
    }
    if (str_eq(ev->kind, S("response.failed")))
        return fold_fail(f, json_member(json_member(ev->root, S("response")), S("error")));
    if (str_eq(ev->kind, S("response.completed")) || str_eq(ev->kind, S("response.incomplete")) ||
        str_eq(ev->kind, S("response.cancelled")))
        return response_terminal(f, ev);
    return 0;
}

static void responses_result(struct fold *f, struct buf *out)
{
    if (f->part_count == 0) {
        buf_add(out, buf_str(&f->reply));
        return;
    }
    struct arena a;
    struct buf output;
    struct json_edit edit;
    arena_init(&a, SIZE_MAX);
    buf_init(&output, SIZE_MAX);
    for (size_t i = 0; i < f->part_count; i++) {
        buf_add_byte(&output, i == 0 ? '[' : ',');
        buf_add(&output, buf_str(&f->parts[i]->start));
    }
    buf_add_byte(&output, ']');
    json_edit_init(&edit, &a, buf_str(&f->reply));
    json_set(&edit, json_root(&edit), S("output"), buf_str(&output));
    buf_add(out, json_edit_text(&edit));
    buf_done(&output);
    arena_done(&a);
}

/* --- events --- */

/* EW1 rule 10: these carry nothing, whatever stands in them. */
static bool is_idle(struct str name)
{
    return str_eq(name, S("ping")) || str_eq(name, S("keepalive")) ||
           str_eq(name, S("heartbeat")) || str_eq(name, S("done"));
}

/* EW1 rule 9, and an error object without any name. */
static struct str event_kind(yyjson_val *root, struct str name)
{
    if (str_eq(name, S("error")))
        return name;
    struct str type = json_member_str(root, S("type"));
    if (type.n == 0)
        type = name;
    yyjson_val *error = json_member(root, S("error"));
    if (type.n == 0 && error != NULL && !yyjson_is_null(error))
        return S("error");
    return type;
}

static int dispatch(struct fold *f, yyjson_val *root, const struct sse_event *sse, struct str text)
{
    struct fold_event ev = { .kind = event_kind(root, sse->name), .root = root };
    if (str_eq(ev.kind, S("error")))
        return error_event(f, &ev);
    int e = fold_small(root);
    if (e < 0)
        return e;
    struct arena a;
    arena_init(&a, SIZE_MAX);
    json_edit_init(&ev.edit, &a, text);
    if (f->protocol == PROTOCOL_MESSAGES)
        e = fold_messages_event(f, &ev);
    else
        e = responses_event(f, &ev);
    arena_done(&a);
    return e;
}

static void on_done_marker(struct fold *f)
{
    f->state = f->state == FOLD_FINISHED ? FOLD_ENDED : FOLD_BROKEN;
}

static int on_event(void *ctx, const struct sse_event *sse)
{
    struct fold *f = ctx;
    struct str text = str_trim(sse->data);
    if (text.n == 0 || f->state == FOLD_ENDED || f->state == FOLD_BROKEN || is_idle(sse->name))
        return 0;
    if (str_eq(text, S("[DONE]"))) {
        on_done_marker(f);
        return 0;
    }
    yyjson_doc *doc;
    if (json_parse(text, &doc, NULL) < 0) {
        if (f->at_end)
            return 0; /* a cut event, EW1 rule 7 */
        return str_eq(sse->name, S("error")) ? fail_as(f, 502, S(""), text) : E_UPSTREAM_EVENT;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    int e = yyjson_is_obj(root) ? dispatch(f, root, sse, text) : E_UPSTREAM_EVENT;
    yyjson_doc_free(doc);
    return e;
}

/* --- the handle --- */

struct fold *fold_new(enum protocol protocol, size_t limit_bytes)
{
    must(protocol == PROTOCOL_MESSAGES || protocol == PROTOCOL_RESPONSES);
    struct fold *f = mem_new(struct fold);
    f->protocol = protocol;
    f->limit_bytes = limit_bytes;
    sse_decoder_init(&f->decoder, limit_bytes, on_event, f);
    buf_init(&f->reply, SIZE_MAX);
    buf_init(&f->error_type, ERROR_TYPE_MAX);
    buf_init(&f->error_message, ERROR_MESSAGE_MAX);
    arena_init(&f->arena, SIZE_MAX); /* fold_keep() is the limit */
    return f;
}

int fold_feed(struct fold *f, struct str bytes)
{
    return sse_decoder_feed(&f->decoder, bytes);
}

int fold_end(struct fold *f)
{
    f->at_end = true;
    int e = sse_decoder_end(&f->decoder);
    if (e < 0)
        return e;
    return f->state == FOLD_FINISHED || f->state == FOLD_ENDED ? 0 : E_UPSTREAM_STREAM;
}

void fold_result(struct fold *f, struct buf *out)
{
    must(f->state == FOLD_FINISHED || f->state == FOLD_ENDED);
    if (f->protocol == PROTOCOL_MESSAGES)
        fold_messages_result(f, out);
    else
        responses_result(f, out);
}

bool fold_error(const struct fold *f, int *ret_status, struct str *ret_type,
                struct str *ret_message)
{
    if (f->state != FOLD_FAILED)
        return false;
    *ret_status = f->error_status;
    *ret_type = buf_str(&f->error_type);
    *ret_message = buf_str(&f->error_message);
    return true;
}

void fold_free(struct fold *f)
{
    if (f == NULL)
        return;
    sse_decoder_done(&f->decoder);
    drop_parts(f);
    buf_done(&f->reply);
    buf_done(&f->error_type);
    buf_done(&f->error_message);
    arena_done(&f->arena);
    free(f);
}
