/*
 * The request line is read here (h1_head_line), because llhttp knows methods,
 * versions and targets that a gateway must refuse with a status of its own.  llhttp
 * then gets a plain "GET / HTTP/1.x" in its place: header fields and body framing
 * are its work, and both are checked once more when the head is complete.
 */
#include "h1.h"

#include "err.h"
#include "h1_head.h"

enum {
    INTERIM_MAX = 8,
    EXTRA_BYTES_MAX = 4096,
    /* Names and separators of 4 KiB of extensions and trailers fit; endless leading
     * zeros of a chunk size or blanks in a trailer, which llhttp does not show, do not. */
    FRAMING_BYTES_MAX = 16 * 1024,
};

enum h1_state {
    H1_READY,
    H1_READY_CR,   /* an empty line before the request has begun */
    H1_READY_CRLF, /* it was skipped; no second one is */
    H1_LINE,       /* request line, or "HTTP/" of a reply */
    H1_FIELDS,
    H1_BODY,
    H1_INTERIM, /* inside a 1xx reply, behind its head */
    H1_DONE,
};

static int fail(struct h1 *c, int code, const char *why)
{
    if (c->err == 0) {
        c->err = c->role == H1_CLIENT && code != E_UPSTREAM_CLOSED ? E_UPSTREAM_PROTOCOL : code;
        c->error_text = why;
    }
    return HPE_USER;
}

/* The same for what the other side did wrong: as server, a client is refused. */
static int refuse(struct h1 *c, enum refusal reason, const char *why)
{
    if (c->err == 0)
        c->refusal = reason;
    return fail(c, refusal_row(reason)->err, why);
}

static int head_result(struct h1 *c, int e)
{
    return e < 0 ? refuse(c, c->head->refusal, c->head->why) : 0;
}

/* --- llhttp's callbacks --- */

static int count_extra(struct h1 *c, size_t n)
{
    c->extra_bytes += n; /* empty ones count as framing, see body_step() */
    if (c->extra_bytes > EXTRA_BYTES_MAX)
        return refuse(c, REFUSAL_CHUNK_EXTRA, "chunk extensions or trailers over the limit");
    return 0;
}

static int on_extension(llhttp_t *p, const char *at, size_t n)
{
    (void)at;
    return count_extra(p->data, n);
}

/* Trailers are dropped; of requests some are refused instead. */
static void keep_trailer(struct h1 *c, struct str piece)
{
    for (size_t i = 0; i < piece.n; i++, c->trailer_n++)
        if (c->trailer_n < sizeof(c->trailer))
            c->trailer[c->trailer_n] = (char)str_lower_byte((unsigned char)piece.p[i]);
}

static int on_name_complete(llhttp_t *p)
{
    struct h1 *c = p->data;
    struct str name = { c->trailer, c->trailer_n };
    c->trailer_n = 0;
    if (c->role == H1_SERVER && name.n <= sizeof(c->trailer) && http_is_no_trailer(name))
        return refuse(c, REFUSAL_TRAILER, "framing, authority or credentials in a trailer");
    return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *c = p->data;
    if (c->head == NULL) {
        keep_trailer(c, (struct str){ at, n });
        return count_extra(c, n);
    }
    return head_result(c, h1_head_name(c->head, (struct str){ at, n }));
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *c = p->data;
    if (c->head == NULL)
        return count_extra(c, n);
    return head_result(c, h1_head_value(c->head, (struct str){ at, n }));
}

static int on_value_complete(llhttp_t *p)
{
    struct h1 *c = p->data;
    return c->head == NULL ? 0 : head_result(c, h1_head_field_end(c->head));
}

/* What llhttp made of the framing fields must be what we made of them. */
static bool framing_agrees(const struct h1 *c, const struct h1_head *h)
{
    bool chunked = (c->parser.flags & F_CHUNKED) != 0;
    bool has_length = (c->parser.flags & F_CONTENT_LENGTH) != 0;
    if (chunked != h->chunked || has_length != h->has_length)
        return false;
    return !has_length || c->parser.content_length == (uint64_t)h->head.content_length;
}

static int interim(struct h1 *c, int status)
{
    if (status == 101)
        return fail(c, E_UPSTREAM_PROTOCOL, "101 was not asked for");
    if (++c->interim_replies > INTERIM_MAX)
        return fail(c, E_UPSTREAM_PROTOCOL, "too many interim replies");
    c->state = H1_INTERIM;
    h1_head_free(c->head);
    c->head = NULL;
    return 1;
}

static void set_reply_body(struct h1 *c, struct h1_head *h)
{
    struct http_head *head = &h->head;
    bool never = head->status == 204 || head->status == 304 || c->reply_to_head;
    head->has_body = !never && (h->chunked || head->content_length != 0);
    c->until_close = head->has_body && !h->chunked && !h->has_length;
    if (c->until_close || (head->status == 204 && (h->chunked || head->content_length > 0)))
        c->keep_alive = false;
}

/* The parts of a reply head that llhttp has read. */
static int reply_line(struct h1 *c, struct http_head *head)
{
    head->status = c->parser.status_code;
    head->major = c->parser.http_major;
    head->minor = c->parser.http_minor;
    if (head->major != 1 || head->minor > 1)
        return fail(c, E_UPSTREAM_PROTOCOL, "neither HTTP/1.0 nor HTTP/1.1");
    if (head->status < 100 || head->status > 599)
        return fail(c, E_UPSTREAM_PROTOCOL, "bad status");
    return 0;
}

/* 1 tells llhttp that no body follows. */
static int on_headers_complete(llhttp_t *p)
{
    struct h1 *c = p->data;
    struct h1_head *h = c->head;
    must(h != NULL);
    p->upgrade = 0; /* never: what follows is HTTP whatever the fields say */
    if (c->role == H1_CLIENT && reply_line(c, &h->head) != 0)
        return HPE_USER;
    int e = h1_head_finish(h, c->role);
    if (e < 0)
        return refuse(c, h->refusal, h->why);
    if (!framing_agrees(c, h))
        return refuse(c, REFUSAL_CONTENT_LENGTH, "ambiguous body length");
    if (c->role == H1_CLIENT && h->head.status < 200)
        return interim(c, h->head.status);

    c->keep_alive = !h->close && (h->head.minor > 0 || h->keep_alive);
    if (c->role == H1_CLIENT)
        set_reply_body(c, h);
    else
        h->head.has_body = h->chunked || h->head.content_length > 0;
    bool has_body = h->head.has_body;
    c->state = H1_BODY;
    c->head = NULL; /* what comes now are trailers */
    c->handler->on_head(c->ctx, &h->head);
    h1_head_free(h);
    if (!has_body)
        return 1;
    return c->stopped ? HPE_PAUSED : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *c = p->data;
    c->framing_bytes = 0;
    c->handler->on_body(c->ctx, (struct str){ at, n });
    /* llhttp needs another byte to go on after a pause; at the end of a body with
     * a length none may come, and it pauses there by itself. */
    bool last = (p->flags & F_CONTENT_LENGTH) != 0 && p->content_length == 0;
    return c->stopped && !last ? HPE_PAUSED : 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct h1 *c = p->data;
    if (c->state != H1_INTERIM) {
        c->state = H1_DONE;
        c->handler->on_end(c->ctx);
    }
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* --- life --- */

static void restart(struct h1 *c)
{
    llhttp_init(&c->parser, c->role == H1_SERVER ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    c->parser.data = c;
    c->state = H1_READY;
    c->extra_bytes = 0;
    c->trailer_n = 0;
    c->framing_bytes = 0;
    c->until_close = false;
}

void h1_init(struct h1 *c, enum h1_role role, const struct h1_limits *limits,
             const struct h1_handler *handler, void *ctx)
{
    *c = (struct h1){ .role = role, .limits = limits, .handler = handler, .ctx = ctx };
    restart(c);
}

void h1_done(struct h1 *c)
{
    h1_head_free(c->head);
    c->head = NULL;
}

void h1_next(struct h1 *c, struct str method)
{
    must(c->err != 0 || c->state == H1_DONE || h1_idle(c));
    h1_done(c); /* of a head at fault */
    restart(c);
    c->interim_replies = 0;
    c->reply_to_head = c->role == H1_CLIENT && str_eq(method, S("HEAD"));
}

void h1_stop(struct h1 *c)
{
    c->stopped = true;
}

bool h1_keep_alive(const struct h1 *c)
{
    return c->keep_alive && c->err == 0;
}

bool h1_idle(const struct h1 *c)
{
    return c->state <= H1_READY_CRLF && c->interim_replies == 0;
}

enum refusal h1_refusal(const struct h1 *c)
{
    return c->refusal;
}

void h1_asked(const struct h1 *c, struct str *ret_method, struct str *ret_target)
{
    *ret_method = *ret_target = S("");
    if (c->head != NULL)
        h1_head_asked(c->head, ret_method, ret_target);
}

const char *h1_error_text(const struct h1 *c)
{
    return c->error_text != NULL ? c->error_text : "";
}

/* --- reading --- */

/* Of what llhttp does not take. */
static enum refusal llhttp_reason(const struct h1 *c, llhttp_errno_t e)
{
    switch (e) {
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return REFUSAL_CONTENT_LENGTH;
    case HPE_INVALID_TRANSFER_ENCODING:
        return REFUSAL_TRANSFER_ENCODING;
    default:
        return c->state == H1_BODY ? REFUSAL_CHUNK : REFUSAL_FIELD;
    }
}

/* Gives bytes to llhttp; says how many it used. */
static size_t run(struct h1 *c, struct str bytes)
{
    llhttp_errno_t e = llhttp_execute(&c->parser, bytes.p, bytes.n);
    if (e == HPE_OK)
        return bytes.n;
    if (e == HPE_PAUSED) {
        size_t used = (size_t)(llhttp_get_error_pos(&c->parser) - bytes.p);
        must(used <= bytes.n);
        llhttp_resume(&c->parser);
        return used;
    }
    refuse(c, llhttp_reason(c, e), llhttp_get_error_reason(&c->parser));
    return 0;
}

/* One empty line before a request is skipped (rfc9112,s2.2). */
static size_t ready_step(struct h1 *c, char first)
{
    if (c->role == H1_SERVER && (first == '\r' || first == '\n' || c->state == H1_READY_CR)) {
        if (c->state == H1_READY && first == '\r')
            c->state = H1_READY_CR;
        else if (c->state == H1_READY_CR && first == '\n')
            c->state = H1_READY_CRLF;
        else
            refuse(c, REFUSAL_REQUEST_LINE, "empty line before the request");
        return 1;
    }
    c->head = h1_head_new(c->limits);
    c->state = H1_LINE;
    return 0;
}

static size_t request_line_step(struct h1 *c, struct str bytes)
{
    size_t used = 0;
    int e = h1_head_line(c->head, bytes, &used);
    if (e < 0) {
        refuse(c, c->head->refusal, c->head->why);
    } else if (e > 0) {
        c->state = H1_FIELDS;
        run(c, c->head->head.minor > 0 ? S("GET / HTTP/1.1\r\n") : S("GET / HTTP/1.0\r\n"));
    }
    return used;
}

/* llhttp takes RTSP and ICE for replies, too. */
static size_t reply_line_step(struct h1 *c, char byte)
{
    struct str prefix = S("HTTP/");
    if (byte != prefix.p[c->head->raw_bytes])
        fail(c, E_UPSTREAM_PROTOCOL, "the reply is not HTTP");
    else if (c->head->raw_bytes + 1 == prefix.n) {
        c->state = H1_FIELDS;
        run(c, prefix);
    }
    return 1;
}

static size_t head_step(struct h1 *c, struct str bytes)
{
    struct h1_head *h = c->head;
    size_t room = c->limits->header_bytes - h->raw_bytes;
    if (room == 0) {
        refuse(c, REFUSAL_HEAD_SIZE, "header over the limit");
        return 0;
    }
    bytes = str_slice(bytes, 0, room);
    size_t used;
    if (c->state == H1_FIELDS)
        used = run(c, bytes);
    else if (c->role == H1_SERVER)
        used = request_line_step(c, bytes);
    else
        used = reply_line_step(c, bytes.p[0]);
    if (c->head != NULL)
        c->head->raw_bytes += used;
    return used;
}

static size_t body_step(struct h1 *c, struct str bytes)
{
    c->framing_bytes += bytes.n; /* on_body() sets it back */
    size_t used = run(c, bytes);
    if (c->state == H1_BODY && c->framing_bytes > FRAMING_BYTES_MAX + bytes.n)
        refuse(c, REFUSAL_CHUNK_EXTRA, "chunk framing over the limit");
    return used;
}

static size_t step(struct h1 *c, struct str bytes)
{
    switch ((enum h1_state)c->state) {
    case H1_READY:
    case H1_READY_CR:
    case H1_READY_CRLF:
        return ready_step(c, bytes.p[0]);
    case H1_LINE:
    case H1_FIELDS:
        return head_step(c, bytes);
    case H1_BODY:
        return body_step(c, bytes);
    case H1_INTERIM:
    case H1_DONE:
        break;
    }
    must(false); /* h1_feed() does not come here then */
    return 0;
}

ssize_t h1_feed(struct h1 *c, struct str bytes)
{
    size_t used = 0;
    c->stopped = false;
    while (c->err == 0 && used < bytes.n && !c->stopped && c->state != H1_DONE) {
        used += step(c, str_slice(bytes, used, bytes.n));
        if (c->state == H1_INTERIM)
            restart(c);
    }
    return c->err != 0 ? c->err : (ssize_t)used;
}

int h1_eof(struct h1 *c)
{
    if (c->err != 0)
        return c->err;
    if (c->state == H1_DONE || h1_idle(c))
        return 0;
    if (c->state == H1_BODY && c->until_close) {
        c->state = H1_DONE;
        c->handler->on_end(c->ctx);
        return 0;
    }
    bool client = c->role == H1_CLIENT;
    fail(c, client ? E_UPSTREAM_CLOSED : E_CLIENT_GONE, "closed inside a message");
    return c->err;
}
