#include "codec.h"
#include "convert.h"
#include "emit.h"
#include "err.h"
#include "error.h"
#include "json.h"

/* JSON values in an event or a body: each costs memory when looked at.  As in requests. */
enum { VALUES_MAX = 2 * 1000 * 1000 };

/* Short events are looked through in one pass, down to the members of a delta; of long ones only
 * what is asked for. */
enum { EAGER_BYTES_MAX = 2048, EAGER_LEVELS = 3 };

static int on_event(void *ctx, const struct sse_event *ev);

/* The decoder and the encoder begin with the first byte of the reply. */
static void begin(struct convert *c, struct buf *out)
{
    c->out = out;
    if (c->decoder != NULL)
        return;
    c->decoder = arena_alloc(&c->arena, 1, *c->upstream->decoder_size, _Alignof(max_align_t));
    c->encoder = arena_alloc(&c->arena, 1, *c->client->encoder_size, _Alignof(max_align_t));
    c->upstream->decoder_init(c, c->decoder);
    c->client->encoder_init(c, c->encoder);
    sse_decoder_init(&c->sse, c->options.reply_limit_bytes, on_event, c);
}

/* The reply failed for a reason of ours: the upstream's bytes, or our own inconsistency. */
static int fail(struct convert *c, int err, struct str message)
{
    const struct err_row *row = err_row(err);
    if (c->ended)
        return c->begun ? 0 : err;
    c->cause = err;
    if (message.n == 0)
        message = err == E_INTERNAL ? S("internal conversion error") : str_of(row->text);
    int r = emit_error(c, row->http_status >= 500 ? row->http_status : 502, S(""), S(""), message);
    return r < 0 ? err : 0;
}

/* What a decoder or emit() returned; < 0 becomes the reply's error ending where one can be. */
static int settle(struct convert *c, int r)
{
    arena_reset(&c->scratch);
    buf_clear(&c->json); /* a stream may be silent for long now */
    if (r < 0)
        r = fail(c, r, S(""));
    c->out = NULL;
    return r;
}

/* Reads text as the document at hand; mended when it is only nearly JSON (EW3.3, EW3.5). */
static int read_document(struct convert *c, struct str text)
{
    if (!json_is_valid(text)) {
        text = json_relax(&c->scratch, text);
        if (!json_is_valid(text))
            return E_UPSTREAM_EVENT;
    }
    if (text.n / 2 > VALUES_MAX && json_values(text) > VALUES_MAX)
        return E_UPSTREAM_EVENT;
    c->temp = &c->scratch;
    json_edit_init(&c->doc, &c->scratch, text);
    if (text.n <= EAGER_BYTES_MAX)
        c->doc.eager = EAGER_LEVELS;
    return 0;
}

/* The same for text that must be an object. */
static int read_object(struct convert *c, struct str text)
{
    int r = read_document(c, text);
    return r == 0 && json_type(json_root(&c->doc)) != JSON_OBJECT ? E_UPSTREAM_EVENT : r;
}

/* For the log: what read_object() refused. */
static int unreadable(struct convert *c, struct str text)
{
    enum { BEGINNING_BYTES_MAX = 500 };
    c->unread.bytes = text.n;
    c->unread.beginning = arena_str(&c->arena, str_slice(text, 0, BEGINNING_BYTES_MAX));
    if (json_check(text, &c->unread.error) == 0)
        c->unread.error = (struct json_error){ .reason = "not an object, or too many values" };
    return E_UPSTREAM_EVENT;
}

/* Names of events that may hold anything (EW1.10). */
static bool says_nothing(struct str name)
{
    return str_eq(name, S("ping")) || str_eq(name, S("keepalive")) ||
           str_eq(name, S("heartbeat")) || str_eq(name, S("done"));
}

static int decode(struct convert *c, const struct sse_event *ev)
{
    if (str_eq(str_trim(ev->data), S("[DONE]"))) {
        c->done_marker = true;
        return c->upstream->decode_end(c, c->decoder, true);
    }
    if (read_object(c, ev->data) < 0)
        return c->at_end || says_nothing(ev->name) ? 0 : unreadable(c, ev->data);
    return c->upstream->decode_event(c, c->decoder, ev->name, json_root(&c->doc));
}

static int on_event(void *ctx, const struct sse_event *ev)
{
    struct convert *c = ctx;
    if (c->ended || c->done_marker || str_trim(ev->data).n == 0)
        return 0;
    int r = decode(c, ev);
    arena_reset(&c->scratch);
    return r;
}

int convert_feed(struct convert *c, struct str bytes, struct buf *out)
{
    begin(c, out);
    if (c->ended) /* what follows the terminal event is of no interest */
        return 0;
    return settle(c, sse_decoder_feed(&c->sse, bytes));
}

int convert_end(struct convert *c, struct buf *out)
{
    begin(c, out);
    if (c->ended)
        return c->begun ? 0 : E_UPSTREAM_STREAM;
    c->at_end = true;
    int r = sse_decoder_end(&c->sse);
    if (r == 0 && !c->ended)
        r = c->upstream->decode_end(c, c->decoder, c->done_marker);
    if (r == 0 && !c->ended)
        r = E_UPSTREAM_STREAM;
    return settle(c, r);
}

int convert_idle(struct convert *c, struct buf *out)
{
    begin(c, out);
    bool waits = convert_waits_for_end(c);
    return settle(c, waits ? c->upstream->decode_end(c, c->decoder, false) : 0);
}

int convert_fail(struct convert *c, int err, struct str message, struct buf *out)
{
    begin(c, out);
    int r = fail(c, err, message);
    c->out = NULL;
    return r;
}

void convert_empty_reply(struct convert *c, struct buf *out)
{
    static const struct chat_event events[] = {
        { .kind = EVENT_START, .start.created = -1 },
        { .kind = EVENT_USAGE },
        { .kind = EVENT_FINISH, .finish.reason = STOP_END },
        { .kind = EVENT_END },
    };
    begin(c, out);
    c->temp = &c->scratch;
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        must(emit(c, &events[i]) == 0);
    c->out = NULL;
}

int convert_upstream_error(struct convert *c, const struct event_error *error, struct buf *out)
{
    begin(c, out);
    int r = emit_error(c, error->status, error->type, error->code, error->message);
    c->out = NULL;
    return r;
}

/* {"error":..} or {"type":"error"} with a 200 (E130). */
static bool is_error(struct convert *c, struct json_node *root)
{
    struct json_node *error = json_find(&c->doc, root, S("error"));
    struct json_node *type = json_find(&c->doc, root, S("type"));
    struct json_node *status = json_find(&c->doc, root, S("status"));
    if (type != NULL && str_eq(json_string(&c->doc, type), S("error")))
        return true;
    if (error == NULL || json_type(error) == JSON_NULL)
        return false;
    /* a Responses object has the member too; its decoder reads its status */
    return status == NULL || json_type(status) != JSON_STRING;
}

static int decode_body(struct convert *c, struct str body)
{
    if (read_object(c, str_trim(body)) < 0)
        return unreadable(c, str_trim(body));
    struct json_node *root = json_root(&c->doc);
    if (!is_error(c, root)) {
        int r = c->upstream->decode_body(c, c->decoder, root);
        return r == 0 && !c->ended ? E_UPSTREAM_EVENT : r;
    }
    struct event_error error;
    error_of(&c->doc, &c->scratch, root, 200, &error);
    return emit_error(c, error.status, error.type, error.code, error.message);
}

int convert_body(struct convert *c, struct str body, struct buf *out)
{
    begin(c, out);
    return settle(c, decode_body(c, body));
}

/* ---- errors before a stream ---- */

void convert_error_read(struct arena *a, int status, struct str body, struct event_error *ret)
{
    struct json_edit e;
    struct str text = str_trim(body);
    bool markup = text.n > 0 && text.p[0] == '<';
    if (!json_is_valid(text)) /* the text itself is the message */
        text = text.n > 0 && !markup && status != 200 ? json_quote(a, str_slice(text, 0, 2000))
                                                      : S("{}");
    json_edit_init(&e, a, text);
    error_of(&e, a, json_root(&e), status, ret);
}

int convert_error_write(enum protocol client, const struct event_error *error,
                        struct str request_id, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    if (client == PROTOCOL_MESSAGES)
        json_out_member_str(&o, S("type"), S("error"));
    json_out_name(&o, S("error"));
    error_write(client, error, &o);
    if (client == PROTOCOL_MESSAGES && request_id.n > 0)
        json_out_member_str(&o, S("request_id"), request_id);
    json_out_object_end(&o);
    return error_status(client, error);
}
