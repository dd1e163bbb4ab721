#include "watch.h"

#include <string.h>

#include "json.h"

void watch_init(struct watch *w, enum protocol protocol)
{
    *w = (struct watch){ .protocol = protocol, .usage = { -1, -1, -1, -1 } };
}

static void copy_text(char *to, size_t size, struct str s)
{
    if (s.n == 0)
        return;
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(to, s.p, n);
    to[n] = '\0';
}

static void read_count(yyjson_val *object, const char *name, int64_t *count)
{
    uint64_t n;
    if (json_member_u64(object, str_of(name), &n) && n <= INT64_MAX)
        *count = (int64_t)n;
}

/* The names of all three protocols; those that are there count. */
static void read_usage(struct usage *u, yyjson_val *usage)
{
    if (!yyjson_is_obj(usage))
        return;
    read_count(usage, "input_tokens", &u->input_tokens);
    read_count(usage, "output_tokens", &u->output_tokens);
    read_count(usage, "prompt_tokens", &u->input_tokens);
    read_count(usage, "completion_tokens", &u->output_tokens);
    read_count(usage, "cache_read_input_tokens", &u->cache_read_tokens);
    read_count(usage, "cache_creation_input_tokens", &u->cache_write_tokens);
    read_count(usage, "prompt_cache_hit_tokens", &u->cache_read_tokens);
    static const char *const details[] = { "input_tokens_details", "prompt_tokens_details" };
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        yyjson_val *d = json_member(usage, str_of(details[i]));
        read_count(d, "cached_tokens", &u->cache_read_tokens);
        read_count(d, "cache_write_tokens", &u->cache_write_tokens);
    }
}

/* A reply object, or an event around one. */
static void read_reply(struct watch *w, yyjson_val *v)
{
    yyjson_val *inner = json_member(v, S("message"));
    if (inner == NULL)
        inner = json_member(v, S("response"));
    if (!yyjson_is_obj(inner))
        inner = v;
    copy_text(w->model, sizeof(w->model), json_member_str(inner, S("model")));
    read_usage(&w->usage, json_member(inner, S("usage")));
    if (inner != v)
        read_usage(&w->usage, json_member(v, S("usage")));
    if (w->protocol == PROTOCOL_RESPONSES && inner != v)
        copy_text(w->response_id, sizeof(w->response_id), json_member_str(inner, S("id")));
}

void watch_json(struct watch *w, struct str body)
{
    yyjson_doc *doc;
    struct json_error error;
    if (json_parse(body, &doc, &error) < 0)
        return;
    read_reply(w, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

/* --- events --- */

/* The value of the first "type" member in the text.  Inside JSON strings quotes are
 * escaped, so what looks like a member is one; of several the outermost is
 * written first by all vendors. */
static struct str sniff_member(struct str data, struct str quoted_name)
{
    size_t i = str_find(data, quoted_name);
    struct str rest = str_trim(str_slice(data, i + quoted_name.n, data.n));
    if (rest.n < 2 || rest.p[0] != ':')
        return S("");
    rest = str_trim(str_slice(rest, 1, rest.n));
    if (rest.n < 2 || rest.p[0] != '"')
        return S("");
    rest = str_slice(rest, 1, rest.n);
    return str_slice(rest, 0, str_index(rest, '"'));
}

static void sniff_sequence(struct watch *w, struct str data)
{
    static const struct str name = S_INIT("\"sequence_number\":");
    size_t i = str_find(data, name);
    struct str rest = str_trim(str_slice(data, i + name.n, data.n));
    size_t n = 0;
    while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
        n++;
    uint64_t sequence;
    if (n > 0 && str_to_u64(str_slice(rest, 0, n), &sequence) == 0 && sequence < INT64_MAX)
        w->next_sequence = (int64_t)sequence + 1;
}

static void messages_event(struct watch *w, struct str type, struct str data)
{
    if (str_eq(type, S("content_block_delta")))
        return;
    if (str_eq(type, S("message_start"))) {
        w->begun = true;
        watch_json(w, data);
    } else if (str_eq(type, S("message_delta"))) {
        watch_json(w, data);
        if (sniff_member(data, S("\"stop_reason\"")).n > 0 && w->end == WATCH_OPEN)
            w->end = WATCH_FINISHED;
    } else if (str_eq(type, S("message_stop"))) {
        w->end = WATCH_ENDED;
    } else if (str_eq(type, S("error"))) {
        w->end = WATCH_FAILED;
    }
}

static void responses_event(struct watch *w, struct str type, struct str data)
{
    sniff_sequence(w, data);
    if (str_eq(type, S("error"))) {
        w->end = WATCH_FAILED;
        return;
    }
    if (!str_starts(type, S("response.")))
        return;
    struct str rest = str_slice(type, 9, type.n);
    if (str_eq(rest, S("created"))) {
        w->begun = true;
        watch_json(w, data);
    } else if (str_eq(rest, S("completed")) || str_eq(rest, S("incomplete")) ||
               str_eq(rest, S("cancelled"))) {
        w->end = WATCH_ENDED;
        watch_json(w, data);
    } else if (str_eq(rest, S("failed"))) {
        w->end = WATCH_FAILED;
        watch_json(w, data);
    }
}

static void chat_event(struct watch *w, struct str data)
{
    if (str_starts(str_trim(str_slice(data, 1, data.n)), S("\"error\"")) &&
        !str_contains(data, S("\"choices\""))) {
        w->end = WATCH_FAILED;
        return;
    }
    if (!w->begun || str_contains(data, S("\"usage\""))) {
        w->begun = true;
        watch_json(w, data);
    }
    if (w->end == WATCH_OPEN && sniff_member(data, S("\"finish_reason\"")).n > 0)
        w->end = WATCH_FINISHED;
}

static void one_event(struct watch *w, struct str name, struct str data)
{
    struct str text = str_trim(data);
    if (text.n == 0)
        return;
    w->events++;
    if (str_eq(text, S("[DONE]"))) {
        if (w->end != WATCH_FAILED)
            w->end = WATCH_ENDED;
        return;
    }
    if (w->protocol == PROTOCOL_CHAT) {
        if (str_eq(name, S("error")))
            w->end = WATCH_FAILED;
        else
            chat_event(w, text);
        return;
    }
    struct str type = sniff_member(str_slice(text, 0, 256), S("\"type\""));
    if (type.n == 0 || str_eq(name, S("error")))
        type = name;
    if (w->protocol == PROTOCOL_MESSAGES)
        messages_event(w, type, text);
    else
        responses_event(w, type, text);
}

static struct str field_value(struct str line, size_t name_bytes)
{
    struct str v = str_slice(line, name_bytes, line.n);
    return v.n > 0 && v.p[0] == ' ' ? str_slice(v, 1, v.n) : v;
}

/* Lines end in LF, CRLF or CR. */
static struct str next_line(struct str *rest)
{
    size_t lf = str_index(*rest, '\n');
    struct str line = str_slice(*rest, 0, lf);
    size_t cr = str_index(line, '\r');
    line.n = cr;
    *rest = str_slice(*rest, cr + 1 < lf ? cr + 1 : lf + 1, rest->n);
    return line;
}

/* Multi-line data is rare and never holds what we look for split in two, so its
 * lines are taken as one slice from the first to the last. */
void watch_events(struct watch *w, struct str events)
{
    struct str name = S(""), data = S("");
    while (events.n > 0) {
        struct str line = next_line(&events);
        if (str_starts(line, S("data:"))) {
            struct str value = field_value(line, 5);
            data =
                data.n == 0 ? value : (struct str){ data.p, (size_t)(value.p + value.n - data.p) };
        } else if (str_starts(line, S("event:"))) {
            name = field_value(line, 6);
        } else if (line.n == 0) {
            one_event(w, name, data);
            name = data = S("");
        }
    }
    one_event(w, name, data);
}
