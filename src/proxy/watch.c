#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "json.h"
#include "json_scan.h"
#include "mem.h"
#include "text.h"

void watch_init(struct watch *w, enum protocol protocol)
{
    *w = (struct watch){ .protocol = protocol, .usage = { -1, -1, -1, -1 } };
}

/* A string, as far as it fits.  to stays as it is when raw is something else, or empty. */
static void copy_text(char *to, size_t size, struct str raw)
{
    if (raw.n <= 2 || raw.p[0] != '"')
        return;
    struct arena a;
    arena_init(&a, SIZE_MAX / 2); /* bounded by the text; mostly nothing is taken from it */
    struct str s = text_plain(&a, (struct text){ raw.p + 1, raw.n - 2 });
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(to, s.p, n);
    to[n] = '\0';
    arena_done(&a);
}

static double number(struct str raw)
{
    double x;
    if (str_to_double(raw, &x) == 0)
        return x;
    char *text = mem_strndup(raw.p, raw.n); /* a very long one */
    x = strtod(text, NULL);
    free(text);
    return x;
}

/* protocols.md EW3 rule 9: fractions are cut, negatives are 0, what is no number is absent. */
static void read_count(struct str raw, int64_t *count)
{
    uint64_t n;
    if (raw.n == 0 || (raw.p[0] != '-' && (raw.p[0] < '0' || raw.p[0] > '9')))
        return;
    if (str_to_u64(raw, &n) == 0) {
        *count = n < UINT64_C(1) << 62 ? (int64_t)n : *count;
        return;
    }
    double x = number(raw);
    if (x < 0x1p62)
        *count = x > 0 ? (int64_t)x : 0;
}

/* The names of all three protocols and the de-facto ones of A2.7; those that are there count,
 * the lower ones more. */
static const struct json_wanted usage_names[] = {
    { .name = S_INIT("input_tokens") },
    { .name = S_INIT("output_tokens") },
    { .name = S_INIT("prompt_tokens") },
    { .name = S_INIT("completion_tokens") },
    { .name = S_INIT("cache_read_input_tokens") },
    { .name = S_INIT("cache_creation_input_tokens") },
    { .name = S_INIT("cached_tokens") },
    { .name = S_INIT("prompt_cache_hit_tokens") },
    { .name = S_INIT("input_tokens_details") },
    { .name = S_INIT("prompt_tokens_details") },
};

static void read_usage(struct usage *u, struct str usage)
{
    struct json_wanted in[ARRAY_LEN(usage_names)];
    int64_t *const counts[] = { &u->input_tokens,      &u->output_tokens,
                                &u->input_tokens,      &u->output_tokens,
                                &u->cache_read_tokens, &u->cache_write_tokens,
                                &u->cache_read_tokens, &u->cache_read_tokens };
    if (usage.n > 0 && usage.p[0] == '[')
        usage = json_first_of(usage);
    if (usage.n == 0 || usage.p[0] != '{')
        return;
    memcpy(in, usage_names, sizeof(in));
    json_look(usage, in, ARRAY_LEN(in));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        read_count(in[i].raw, counts[i]);
    for (size_t i = ARRAY_LEN(counts); i < ARRAY_LEN(in); i++) {
        struct json_wanted d[] = { { .name = S("cached_tokens") },
                                   { .name = S("cache_write_tokens") } };
        json_look(in[i].raw, d, ARRAY_LEN(d));
        read_count(d[0].raw, &u->cache_read_tokens);
        read_count(d[1].raw, &u->cache_write_tokens);
    }
}

enum { REPLY_MODEL, REPLY_USAGE, REPLY_ID, REPLY_CHOICES, REPLY_MESSAGE, REPLY_RESPONSE, REPLY_N };

static const struct json_wanted reply_names[REPLY_N] = {
    [REPLY_MODEL] = { .name = S_INIT("model") },
    [REPLY_USAGE] = { .name = S_INIT("usage") },
    [REPLY_ID] = { .name = S_INIT("id") },
    [REPLY_CHOICES] = { .name = S_INIT("choices") },
    [REPLY_MESSAGE] = { .name = S_INIT("message") },
    [REPLY_RESPONSE] = { .name = S_INIT("response") },
};

/* A reply object, or an event around one. */
static void read_reply(struct watch *w, struct str raw)
{
    struct json_wanted outer[REPLY_N], within[REPLY_N], *inner = outer;
    struct json_wanted choice = { .name = S("usage") };
    memcpy(outer, reply_names, sizeof(outer));
    memcpy(within, reply_names, sizeof(within));
    json_look(raw, outer, REPLY_N);
    struct str object =
        outer[REPLY_MESSAGE].raw.n > 0 ? outer[REPLY_MESSAGE].raw : outer[REPLY_RESPONSE].raw;
    if (object.n > 0 && object.p[0] == '{') {
        inner = within;
        json_look(object, within, REPLY_CHOICES);
    }
    copy_text(w->model, sizeof(w->model), inner[REPLY_MODEL].raw);
    json_look(json_first_of(outer[REPLY_CHOICES].raw), &choice, 1);
    read_usage(&w->usage, choice.raw);
    read_usage(&w->usage, inner[REPLY_USAGE].raw);
    if (inner != outer)
        read_usage(&w->usage, outer[REPLY_USAGE].raw);
    if (w->protocol == PROTOCOL_RESPONSES)
        copy_text(w->response_id, sizeof(w->response_id), inner[REPLY_ID].raw);
}

void watch_json(struct watch *w, struct str body)
{
    body = str_trim(body);
    if (json_is_valid(body))
        read_reply(w, body);
}

/* --- a look at an event without parsing it; it may be cut off or not be JSON at all --- */

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* p is at the quote; end when the string does not end. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p++;
    }
    return end;
}

static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        char c = *p;
        if (c == '"') {
            p = skip_string(p, end);
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return p;
        } else {
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
            p++;
        }
    }
    return end;
}

/* The next member of an object; *rest begins behind its brace.  Both are raw text. */
static bool next_member(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    const char *p = rest->p, *end = rest->p + rest->n;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' || *p == ','))
        p++;
    if (p == end || *p != '"')
        return false;
    const char *name = p;
    p = skip_string(p, end);
    *ret_name = (struct str){ name, (size_t)(p - name) };
    p = skip_blanks(p, end);
    if (p == end || *p != ':')
        return false;
    const char *value = skip_blanks(p + 1, end);
    p = skip_value(value, end);
    if (p == end)
        return false; /* cut off */
    *ret_value = str_trim((struct str){ value, (size_t)(p - value) });
    *rest = (struct str){ p, (size_t)(end - p) };
    return true;
}

/* The text of a string without escapes; else empty.  Names of kinds have none. */
static struct str plain_string(struct str raw)
{
    if (raw.n < 2 || raw.p[0] != '"' || raw.p[raw.n - 1] != '"')
        return S("");
    return str_slice(raw, 1, raw.n - 1);
}

static bool is_something(struct str raw)
{
    return raw.n > 0 && !str_eq(raw, S("null"));
}

struct head {
    struct str type, error, sequence; /* raw values of the event's own members */
};

/* Vendors write the type first, and then the number: mostly this is a look at the beginning.  Of
 * chat, which has no types, only events that speak of an error come here. */
static struct head read_head(const struct watch *w, struct str data)
{
    struct head head = { S(""), S(""), S("") };
    if (data.n == 0 || data.p[0] != '{')
        return head;
    struct str rest = str_slice(data, 1, data.n), name, value;
    while (next_member(&rest, &name, &value)) {
        if (str_eq(name, S("\"type\"")))
            head.type = value;
        else if (str_eq(name, S("\"error\"")))
            head.error = value;
        else if (str_eq(name, S("\"sequence_number\"")))
            head.sequence = value;
        if (w->protocol != PROTOCOL_CHAT && head.type.n > 0 &&
            (head.sequence.n > 0 || w->protocol == PROTOCOL_MESSAGES))
            break;
    }
    return head;
}

/* Takes *rest behind the next member of this name, at any depth: quotes inside strings are
 * escaped, so what looks like a name is a string, and only a name has a colon behind it. */
static bool find_member(struct str *rest, struct str quoted_name, struct str *ret_raw)
{
    for (;;) {
        size_t at = str_find(*rest, quoted_name);
        if (at == rest->n)
            return false;
        *rest = str_slice(*rest, at + quoted_name.n, rest->n);
        const char *end = rest->p + rest->n, *p = skip_blanks(rest->p, end);
        if (p == end || *p != ':')
            continue;
        p = skip_blanks(p + 1, end);
        /* of a container the brace is enough */
        const char *value_end = p < end && (*p == '{' || *p == '[') ? p + 1 : skip_value(p, end);
        *ret_raw = str_trim((struct str){ p, (size_t)(value_end - p) });
        return value_end < end;
    }
}

/* The first value of this name that is neither null nor "". */
static struct str sniff(struct str data, struct str quoted_name)
{
    struct str raw;
    while (find_member(&data, quoted_name, &raw))
        if (is_something(raw) && !str_eq(raw, S("\"\"")))
            return raw;
    return S("");
}

/* --- events --- */

static void messages_event(struct watch *w, struct str type, struct str data)
{
    if (str_eq(type, S("content_block_delta")))
        return;
    if (str_eq(type, S("message_start"))) {
        w->begun = true;
        watch_json(w, data);
    } else if (str_eq(type, S("message_delta"))) {
        watch_json(w, data);
        if (sniff(data, S("\"stop_reason\"")).n > 0)
            w->end = WATCH_FINISHED;
    } else if (str_eq(type, S("message_stop"))) {
        w->end = WATCH_ENDED;
    } else if (str_eq(type, S("error"))) {
        w->end = WATCH_FAILED;
    }
}

static void responses_event(struct watch *w, struct str type, struct str data)
{
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

static bool is_over(const struct watch *w)
{
    return w->end == WATCH_ENDED || w->end == WATCH_FAILED;
}

static void chat_event(struct watch *w, struct str name, struct str data)
{
    if (is_over(w))
        return;
    bool is_error = str_eq(name, S("error"));
    if (is_error ||
        (str_contains(data, S("\"error\"")) && is_something(read_head(w, data).error))) {
        w->end = WATCH_FAILED;
        return;
    }
    if (!w->begun || sniff(data, S("\"usage\"")).n > 0) {
        w->begun = true;
        watch_json(w, data);
    }
    struct str reason = sniff(data, S("\"finish_reason\""));
    if (str_eq(reason, S("\"error\"")) || str_eq(reason, S("\"insufficient_system_resource\"")))
        w->end = WATCH_FAILED;
    else if (reason.n > 0)
        w->end = WATCH_FINISHED;
}

static void read_sequence(struct watch *w, struct str raw)
{
    uint64_t sequence;
    if (str_to_u64(raw, &sequence) == 0 && sequence < INT64_MAX)
        w->next_sequence = (int64_t)sequence + 1;
}

/* Messages and responses.  What follows the end is ignored, but for its number. */
static void typed_event(struct watch *w, struct str name, struct str data)
{
    /* what a stream is mostly made of, as it is mostly written */
    if (w->protocol == PROTOCOL_MESSAGES && !str_eq(name, S("error")) &&
        str_starts(data, S("{\"type\":\"content_block_delta\",")))
        return;
    struct head head = read_head(w, data);
    read_sequence(w, head.sequence);
    if (is_over(w))
        return;
    struct str type = plain_string(head.type);
    if (type.n == 0 || str_eq(name, S("error")))
        type = name;
    if (type.n == 0 && is_something(head.error))
        type = S("error");
    if (w->protocol == PROTOCOL_MESSAGES)
        messages_event(w, type, data);
    else
        responses_event(w, type, data);
}

/* Only of chat it is the terminal event: the others' replies are not complete without their own. */
static void done_marker(struct watch *w)
{
    if (w->end == WATCH_FINISHED || (w->end == WATCH_OPEN && w->protocol == PROTOCOL_CHAT))
        w->end = WATCH_ENDED;
}

static void one_event(struct watch *w, struct str name, struct str data)
{
    data = str_trim(data);
    if (data.n == 0)
        return;
    w->events++;
    if (str_eq(data, S("[DONE]")))
        done_marker(w);
    else if (w->protocol == PROTOCOL_CHAT)
        chat_event(w, name, data);
    else
        typed_event(w, name, data);
}

/* --- lines --- */

static const char *find_byte(const char *p, const char *end, char c)
{
    const char *at = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
    return at != NULL ? at : end;
}

struct lines {
    const char *p, *end;
    const char *cr; /* the first CR at or after p, or end: so both bytes are looked for once */
};

/* Lines end in LF, CRLF or CR.  A BOM before one is skipped. */
static struct str next_line(struct lines *l)
{
    static const struct str bom = S_INIT("\xEF\xBB\xBF");
    const char *eol = find_byte(l->p, l->cr, '\n');
    struct str line = { l->p, (size_t)(eol - l->p) };
    l->p = eol < l->end ? eol + 1 : l->end;
    if (eol == l->cr && eol < l->end) {
        if (l->p < l->end && *l->p == '\n')
            l->p++;
        l->cr = find_byte(l->p, l->end, '\r');
    }
    return str_starts(line, bom) ? str_slice(line, bom.n, line.n) : line;
}

static struct str field_value(struct str line, size_t name_bytes)
{
    struct str v = str_slice(line, name_bytes, line.n);
    return v.n > 0 && v.p[0] == ' ' ? str_slice(v, 1, v.n) : v;
}

/* One event.  Data of several lines, which is rare, is joined in a copy. */
static void watch_event(struct watch *w, struct lines *l)
{
    struct str name = S(""), data = S("");
    struct buf joined;
    buf_init(&joined, SIZE_MAX);
    while (l->p < l->end) {
        struct str line = next_line(l);
        if (line.n == 0)
            break;
        if (str_starts(line, S("data:")) && data.n == 0) {
            data = field_value(line, 5);
        } else if (str_starts(line, S("data:"))) {
            if (buf_len(&joined) == 0)
                buf_add(&joined, data);
            buf_add_byte(&joined, '\n');
            buf_add(&joined, field_value(line, 5));
            data = buf_str(&joined);
        } else if (str_starts(line, S("event:"))) {
            name = field_value(line, 6);
        } else if (str_eq(line, S("event"))) {
            name = S(""); /* without a colon its value is empty (EW1.4) */
        }
    }
    one_event(w, name, data);
    buf_done(&joined);
}

void watch_events(struct watch *w, struct str events)
{
    struct lines l = { .p = events.p, .end = events.p + events.n };
    if (events.n == 0)
        return;
    l.cr = find_byte(l.p, l.end, '\r');
    while (l.p < l.end)
        watch_event(w, &l);
}
