#include "convert.h"

#include <stdarg.h>
#include <stdlib.h>

#include "codec.h"
#include "err.h"
#include "estimate.h"
#include "flow.h"
#include "json.h"
#include "member.h"
#include "params.h"
#include "slab.h"
#include "tools.h"
#include "turns.h"

enum {
    WARNINGS_BYTES_MAX = 1024,
    WARNINGS_ROOM = sizeof ", more" - 1,
};

static struct slab converts = SLAB_OF(converts, struct convert);

struct convert *convert_new(const struct convert_options *o)
{
    struct convert *c = slab_take(&converts);
    arena_init(&c->arena, SIZE_MAX); /* holds parts of bodies that are bounded themselves */
    arena_lend(&c->arena, c->first, sizeof(c->first));
    arena_init(&c->scratch, SIZE_MAX);
    c->options = *o;
    c->options.upstream_name = arena_str(&c->arena, o->upstream_name);
    c->options.upstream_model = arena_str(&c->arena, o->upstream_model);
    c->options.reply_id = arena_str(&c->arena, o->reply_id);
    c->profile = *o->profile;
    c->options.profile = &c->profile;
    c->client = codec_of(o->client);
    c->upstream = codec_of(o->upstream);
    buf_init(&c->warnings, WARNINGS_BYTES_MAX);
    buf_init(&c->error_text, 4096);
    buf_init(&c->error_param, 1024);
    c->usage = usage_unknown;
    c->flow = arena_new(&c->arena, struct flow, 1);
    buf_init(&c->json, SIZE_MAX); /* `out` has the limit */
    reply_init(&c->reply, &c->arena, o->reply_limit_bytes);
    return c;
}

void convert_free(struct convert *c)
{
    if (c == NULL)
        return;
    if (c->decoder != NULL) {
        c->upstream->decoder_done(c->decoder);
        c->client->encoder_done(c->encoder);
        sse_decoder_done(&c->sse);
    }
    reply_done(&c->reply);
    flow_done(c->flow);
    buf_done(&c->warnings);
    buf_done(&c->error_text);
    buf_done(&c->error_param);
    arena_done(&c->scratch);
    buf_done(&c->json);
    arena_done(&c->arena);
    slab_give(c);
}

/* ---- errors and warnings ---- */

int convert_reject(struct convert *c, struct str path, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_clear(&c->error_text);
    buf_clear(&c->error_param);
    path = str_slice(path, 0, 256);
    buf_add(&c->error_param, path);
    if (path.n > 0)
        buf_addf(&c->error_text, STR_FMT ": ", STR_ARG(path));
    buf_addf(&c->error_text, "%s", text);
    return E_BAD_REQUEST;
}

static void add_path(struct buf *out, struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char b = (unsigned char)path.p[i];
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     b == '_' || b == '.' || b == '-';
        buf_add_byte(out, plain ? (char)b : '_');
    }
}

/* Is the entry in the list already? */
static bool listed(struct str list, struct str entry)
{
    struct str one;
    while (str_next(&list, ',', &one))
        if (str_eq(str_trim(one), entry))
            return true;
    return false;
}

void convert_note(struct convert *c, const char *action, struct str path)
{
    struct buf entry;
    if (str_ends(buf_str(&c->warnings), S("more")))
        return;
    buf_init(&entry, WARNINGS_BYTES_MAX);
    buf_addf(&entry, "%s:", action);
    add_path(&entry, str_slice(path, 0, 512));
    struct str e = buf_str(&entry);
    size_t used = buf_len(&c->warnings), comma = used > 0 ? 2 : 0;
    if (!listed(buf_str(&c->warnings), e)) {
        if (used + comma + e.n > WARNINGS_BYTES_MAX - WARNINGS_ROOM)
            e = S("more");
        if (comma > 0)
            buf_add(&c->warnings, S(", "));
        buf_add(&c->warnings, e);
    }
    buf_done(&entry);
}

int convert_warn(struct convert *c, const char *action, struct str path)
{
    if (c->options.strict)
        return convert_reject(c, path, "would be %s, and strict mode forbids losses", action);
    convert_note(c, action, path);
    return 0;
}

/* ---- the request ---- */

static struct str without_bom(struct str body)
{
    return str_starts(body, S("\xef\xbb\xbf")) ? str_slice(body, 3, body.n) : body;
}

static int parse(struct convert *c, struct arena *a, struct str body)
{
    struct json_error why;
    int r = c->options.checked ? 0 : json_check(body, &why);
    if (r < 0) {
        (void)convert_reject(c, S(""), "the request body is not valid JSON: %s at byte %zu",
                             why.reason, why.offset);
        return r;
    }
    c->temp = a;
    json_edit_init(&c->doc, a, body);
    if (json_type(json_root(&c->doc)) != JSON_OBJECT)
        return convert_reject(c, S(""), "the request body must be a JSON object");
    return 0;
}

/* What all protocols have in common, once their bodies are read. */
static int read_common(struct convert *c)
{
    struct str model = params_str(c, CHAT_PARAM_MODEL);
    if (model.n == 0)
        return convert_reject(c, S("model"), "is required");
    c->model = arena_str(&c->arena, model);
    c->model_sent = c->options.upstream_model.n > 0 ? c->options.upstream_model : c->model;
    c->request.stream = params_true(c, CHAT_PARAM_STREAM);
    c->client_streams = c->request.stream && !c->options.client_plain;
    c->asks_stream = (c->request.stream || c->options.upstream_streams) &&
                     !c->options.upstream_never_streams && !c->options.count_only;
    return 0;
}

/* What the reply needs to know of the request. */
static void keep(struct convert *c)
{
    c->include_usage = c->request.include_usage;
    c->legacy_functions = c->request.legacy_functions;
    c->stop = arena_new(&c->arena, struct text, c->request.stop_count + 1u);
    for (uint32_t i = 0; i < c->request.stop_count; i++) {
        struct text t = c->request.stop[i];
        struct str copy = arena_str(&c->arena, (struct str){ t.p, t.n });
        c->stop[i] = (struct text){ copy.p, copy.n };
    }
    c->stop_count = c->request.stop_count;
    c->local_reply = c->options.client == PROTOCOL_MESSAGES && c->request.max_tokens == 0 &&
                     !c->options.count_only;
}

/* The output is about as long as the input, and for each message a little longer: room for it
 * saves growing and copying. */
static void make_room(const struct convert *c, struct buf *out, size_t body_bytes)
{
    enum { MESSAGE_BYTES = 64 };
    size_t bytes = body_bytes + body_bytes / 8 + (size_t)MESSAGE_BYTES * c->request.message_count;
    if (bytes <= out->limit_bytes - buf_len(out))
        (void)buf_reserve(out, bytes);
}

/* The client's body into c->request. */
static int read_request(struct convert *c, struct arena *work, struct str body)
{
    c->request = (struct chat_request){ .max_tokens = -1, .format.strict = CHAT_ABSENT };
    int r = parse(c, work, without_bom(body));
    if (r == 0)
        r = params_decode(c, json_root(&c->doc));
    if (r == 0)
        r = read_common(c);
    if (r == 0)
        r = c->client->decode_request(c, json_root(&c->doc));
    if (r == 0 && c->options.count_only)
        c->estimate = estimate_request(&c->request);
    return r;
}

static void forget_request(struct convert *c)
{
    c->request = (struct chat_request){ .max_tokens = -1 };
    c->temp = NULL;
}

int convert_request(struct convert *c, struct arena *work, struct str body, struct buf *out)
{
    struct json_out o;
    size_t before = buf_len(out);
    int r = read_request(c, work, body);
    if (r == 0)
        keep(c);
    if (r == 0)
        r = turns_normalize(c);
    if (r == 0)
        r = tools_prepare(c);
    if (r == 0)
        make_room(c, out, body.n);
    json_out_init(&o, out);
    if (r == 0)
        r = c->upstream->encode_request(c, &o);
    if (r == 0 && out->overflow)
        r = E_TOO_LARGE;
    if (r < 0)
        buf_truncate(out, before);
    forget_request(c);
    return r;
}

int convert_count(struct convert *c, struct arena *work, struct str body)
{
    must(c->options.count_only);
    int r = read_request(c, work, body);
    forget_request(c);
    return r;
}

int64_t convert_estimate(struct convert *c)
{
    must(c->estimate > 0);
    /* what a conversion would lose is no loss of a count */
    buf_clear(&c->warnings);
    buf_add(&c->warnings, S("degraded:count_tokens"));
    return c->estimate;
}

int convert_adopt(struct convert *c, struct arena *work, struct str body, bool client_streams)
{
    int r = parse(c, work, body);
    if (r == 0) {
        struct json_node *root = json_root(&c->doc);
        c->model = arena_str(&c->arena, member_str(c, root, S("model")));
        c->model_sent = c->options.upstream_model.n > 0 ? c->options.upstream_model : c->model;
        c->client_streams = client_streams;
        c->asks_stream = c->options.upstream_streams ||
                         (member_true(c, root, S("stream")) && !c->options.upstream_never_streams);
        if (c->client == c->upstream)
            c->client->adopt_request(c, root);
    }
    c->temp = NULL;
    return r;
}

/* ---- what the caller asks ---- */

struct str convert_error(const struct convert *c)
{
    return buf_str(&c->error_text);
}

struct str convert_error_param(const struct convert *c)
{
    return buf_str(&c->error_param);
}

struct str convert_warnings(const struct convert *c)
{
    return buf_str(&c->warnings);
}

bool convert_client_streams(const struct convert *c)
{
    return c->client_streams;
}

bool convert_asks_stream(const struct convert *c)
{
    return c->asks_stream;
}

bool convert_local_reply(const struct convert *c)
{
    return c->local_reply;
}

struct str convert_model(const struct convert *c)
{
    return c->model;
}

void convert_open(struct convert *c)
{
    c->begun = true;
}

bool convert_begun(const struct convert *c)
{
    return c->begun;
}

bool convert_ended(const struct convert *c)
{
    return c->ended;
}

bool convert_waits_for_end(const struct convert *c)
{
    return c->finish_known && !c->ended;
}

bool convert_created(const struct convert *c)
{
    return c->created;
}

const struct event_error *convert_failure(const struct convert *c)
{
    return c->failed ? &c->failure : NULL;
}

const struct convert_unread *convert_unread(const struct convert *c)
{
    return &c->unread;
}

int convert_cause(const struct convert *c)
{
    return c->cause;
}

const struct event_usage *convert_usage(const struct convert *c)
{
    return &c->usage;
}
