/*
 * Goal: server and pool hold their contracts together, whatever comes when.
 * Method: one process, one loop, everything on loopback:
 *
 *   trip (a client's exchange) -> server -> hop (a tiny proxy) -> pool -> server -> stay
 *
 * over HTTP/1 and HTTP/2, clear and TLS, on both sides.  A seed decides sizes, pieces, pauses,
 * cancels and faults.  Upstreams close idle conns all the time and are replaced in flight
 * (GOAWAY); the hop retries what was not processed.  Every exchange must end exactly once, with
 * exact bytes or a failure that its plan explains; then all counts must be zero and all fds gone.
 */
#include "server_limits.h"
#include "stress.h"

static void no_headers(struct server_stream *s, int status, int64_t length)
{
    struct http_headers none = { 0 };
    server_head(s, status, &none, length);
}

static void on_refused(void *ctx, const struct server_refusal *why, struct arena *a,
                       struct http_headers *headers, struct buf *body)
{
    (void)ctx;
    (void)a;
    (void)headers;
    (void)body;
    if (why->reason == REFUSAL_TLS)
        return; /* a client that left within its handshake */
    fail_msg("a request was refused: %s " STR_FMT, refusal_row(why->reason)->label,
             STR_ARG(why->text));
}

/* --- the upstream --- */

static void stay_leave(struct stay *y)
{
    timeout_clear(&y->t->loop, &y->timer);
    y->t->stays--;
    y->s = NULL;
    loop_defer(&y->t->loop, free, y);
}

static void stay_break(struct stay *y)
{
    struct server_stream *s = y->s;
    bool reset = y->trip->fault != FAULT_ABORT;
    stay_leave(y);
    if (reset)
        server_reset(s);
    else
        server_abort(s);
}

static void stay_reply(struct stay *y)
{
    struct trip *p = y->trip;
    struct stress *t = y->t;
    bool breaks = p->fault >= FAULT_ABORT;
    size_t until = breaks ? p->break_at : p->reply_bytes;
    if (!y->replying)
        no_headers(y->s, 200, p->reply_length ? (int64_t)p->reply_bytes : -1);
    y->replying = true;
    while (y->sent < until) {
        if (server_queued(y->s) > CONN_HIGH_BYTES)
            return; /* on_drain() */
        size_t n = 1 + random_below(t, PIECE_MAX);
        n = n > until - y->sent ? until - y->sent : n;
        struct buf piece;
        buf_init(&piece, PIECE_MAX);
        fill(&piece, p->number * 2 + 1, y->sent, n);
        y->sent += n;
        server_write(y->s, buf_str(&piece));
        buf_done(&piece);
        if (one_in(t, 4)) {
            timeout_set(&t->loop, &y->timer, random_below(t, 3) * NS_PER_MS);
            return;
        }
    }
    if (breaks) {
        stay_break(y);
        return;
    }
    struct server_stream *s = y->s;
    stay_leave(y);
    server_end(s);
}

static void stay_timer(void *ctx)
{
    struct stay *y = ctx;
    if (y->paused) {
        y->paused = false;
        server_resume(y->s);
    }
    if (y->replying)
        stay_reply(y);
    else if (y->complete)
        stay_reply(y);
}

static void stay_complete(struct stay *y)
{
    assert_int_equal(y->got, y->trip->request_bytes);
    y->complete = true;
    if (y->replying)
        return; /* early */
    if (y->trip->fault == FAULT_SLOW)
        timeout_set(&y->t->loop, &y->timer, 3 * NS_PER_MS);
    else
        stay_reply(y);
}

static struct trip *trip_of(struct stress *t, const struct http_head *head)
{
    uint64_t number = 0;
    assert_int_equal(str_to_u64(str_slice(head->target, 1, head->target.n), &number), 0);
    assert_true(number < TRIPS);
    return &t->trip[number];
}

static void stay_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    struct stress *t = ctx;
    struct stay *y = mem_new(struct stay);
    y->t = t;
    y->s = s;
    y->trip = trip_of(t, head);
    timeout_init(&y->timer, stay_timer, y);
    server_set_user(s, y);
    t->stays++;
    if (y->trip->fault == FAULT_RESET_AT_ONCE) {
        stay_leave(y);
        server_reset(s);
    } else if (y->trip->fault == FAULT_EARLY) {
        stay_reply(y);
    } else if (!head->has_body) {
        stay_complete(y);
    }
}

static void stay_body(void *user, struct str bytes)
{
    struct stay *y = user;
    check(bytes, y->trip->number * 2, y->got);
    y->got += bytes.n;
    if (!y->paused && !timeout_armed(&y->timer) && one_in(y->t, 6)) {
        y->paused = true;
        server_pause(y->s);
        timeout_set(&y->t->loop, &y->timer, random_below(y->t, 3) * NS_PER_MS);
    }
}

static void stay_end(void *user)
{
    stay_complete(user);
}

static void stay_drain(void *user)
{
    struct stay *y = user;
    if (y->replying && !timeout_armed(&y->timer))
        stay_reply(y);
}

static void stay_gone(void *user)
{
    stay_leave(user);
}

static const struct server_handler upstream_handler = {
    stay_request, stay_body, stay_end, stay_drain, stay_gone, on_refused,
};

/* --- the proxy --- */

static const struct exchange_handler hop_exchange;

static void hop_leave(struct hop *h)
{
    h->s = NULL;
    h->x = NULL;
    h->t->hops--;
    buf_done(&h->body);
    arena_done(&h->arena);
    loop_defer(&h->t->loop, free, h);
}

static void hop_open(struct hop *h)
{
    struct exchange_request r = {
        .origin = h->t->to_upstream[h->trip->upstream],
        .head = &h->head,
        .streamed = h->head.has_body,
        .streamed_bytes = h->head.content_length,
        .fresh = h->tries++ > 0,
    };
    h->given = 0;
    h->ready = false;
    h->x = pool_open(h->t->upstreams, &r, &hop_exchange, h);
    check_limits(h->t);
}

static void hop_send(struct hop *h)
{
    if (!h->ready || !h->head.has_body)
        return;
    struct str rest = str_slice(buf_str(&h->body), h->given, buf_len(&h->body));
    h->given += rest.n;
    exchange_write(h->x, rest);
    if (h->complete)
        exchange_write_end(h->x);
    else if (exchange_queued(h->x) > CONN_HIGH_BYTES)
        server_pause(h->s);
}

static void hop_request(void *ctx, struct server_stream *s, const struct http_head *head)
{
    struct stress *t = ctx;
    struct hop *h = mem_new(struct hop);
    h->t = t;
    h->s = s;
    h->trip = trip_of(t, head);
    arena_init(&h->arena, 1 << 20);
    buf_init(&h->body, 1 << 30);
    http_head_copy(head, &h->arena, &h->head);
    server_set_user(s, h);
    t->hops++;
    hop_open(h);
}

static void hop_body(void *user, struct str bytes)
{
    struct hop *h = user;
    buf_add(&h->body, bytes);
    hop_send(h);
}

static void hop_end(void *user)
{
    struct hop *h = user;
    h->complete = true;
    hop_send(h);
}

static void hop_client_drain(void *user)
{
    exchange_resume(((struct hop *)user)->x);
}

static void hop_gone(void *user)
{
    struct hop *h = user;
    exchange_cancel(h->x);
    hop_leave(h);
}

static const struct server_handler front_handler = {
    hop_request, hop_body, hop_end, hop_client_drain, hop_gone, on_refused,
};

static void hop_ready(void *ctx)
{
    struct hop *h = ctx;
    h->ready = true;
    hop_send(h);
}

static void hop_head(void *ctx, const struct http_head *head)
{
    struct hop *h = ctx;
    assert_false(h->answered);
    h->answered = true;
    no_headers(h->s, head->status, head->content_length);
}

static void hop_reply(void *ctx, struct str bytes)
{
    struct hop *h = ctx;
    assert_true(h->answered);
    server_write(h->s, bytes);
    if (server_queued(h->s) > CONN_HIGH_BYTES)
        exchange_pause(h->x);
}

static void hop_reply_end(void *ctx)
{
    struct hop *h = ctx;
    struct server_stream *s = h->s;
    assert_true(h->answered);
    hop_leave(h);
    server_end(s);
}

static void hop_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct hop *h = ctx;
    struct server_stream *s = h->s;
    if (unprocessed && !h->answered && h->tries < 8) {
        h->t->retried++;
        hop_open(h);
        return;
    }
    if (h->trip->fault < FAULT_ABORT && !h->t->harsh)
        fail_msg(
            "exchange %u (%d to %d, fault %d, %zu bytes of %zu, try %d%s%s) failed: %s, " STR_FMT,
            h->trip->number, h->trip->front, h->trip->upstream, h->trip->fault, h->given,
            h->trip->request_bytes, h->tries, exchange_reused(h->x) ? ", reused" : "",
            unprocessed ? ", unprocessed" : "", err_row(err)->text, STR_ARG(reason));
    bool answered = h->answered;
    hop_leave(h);
    if (answered) {
        server_abort(s);
        return;
    }
    no_headers(s, 502, 0);
    server_end(s);
}

static void hop_drain(void *ctx)
{
    server_resume(((struct hop *)ctx)->s);
}

static const struct exchange_handler hop_exchange = {
    hop_ready, hop_head, hop_reply, hop_reply_end, hop_fail, hop_drain,
};

/* --- the clients --- */

static void open_more(struct stress *t);

static void trip_over(struct trip *p)
{
    struct stress *t = p->t;
    p->x = NULL;
    assert_int_equal(++p->ends, 1);
    timeout_clear(&t->loop, &p->timer);
    t->ended++;
    open_more(t);
}

static void trip_send(struct trip *p)
{
    struct stress *t = p->t;
    while (p->sent < p->request_bytes) {
        if (exchange_queued(p->x) > CONN_HIGH_BYTES)
            return;
        size_t n = 1 + random_below(t, PIECE_MAX);
        n = n > p->request_bytes - p->sent ? p->request_bytes - p->sent : n;
        exchange_write(p->x, str_slice(buf_str(&p->body), p->sent, p->sent + n));
        p->sent += n;
        if (p->sent == p->request_bytes)
            break;
        if (one_in(t, 4)) {
            timeout_set(&t->loop, &p->timer, random_below(t, 3) * NS_PER_MS);
            return;
        }
    }
    exchange_write_end(p->x);
    p->streamed = false; /* all is sent */
}

static void trip_ready(void *ctx)
{
    struct trip *p = ctx;
    if (p->streamed && !timeout_armed(&p->timer))
        trip_send(p);
}

static bool trip_cancels(struct trip *p)
{
    if (!p->cancels || p->got < p->cancel_at)
        return false;
    p->t->cancelled++;
    exchange_cancel(p->x);
    trip_over(p);
    return true;
}

static void trip_timer(void *ctx)
{
    struct trip *p = ctx;
    if (trip_cancels(p))
        return;
    if (p->paused) {
        p->paused = false;
        exchange_resume(p->x);
    }
    if (p->streamed && exchange_major(p->x) != 0)
        trip_send(p);
}

static void trip_head(void *ctx, const struct http_head *head)
{
    struct trip *p = ctx;
    p->status = head->status;
    trip_cancels(p);
}

static void trip_body(void *ctx, struct str bytes)
{
    struct trip *p = ctx;
    assert_int_equal(p->status, 200);
    check(bytes, p->number * 2 + 1, p->got);
    p->got += bytes.n;
    if (trip_cancels(p))
        return;
    if (!p->paused && one_in(p->t, 5)) {
        p->paused = true;
        exchange_pause(p->x);
        if (!timeout_armed(&p->timer))
            timeout_set(&p->t->loop, &p->timer, random_below(p->t, 4) * NS_PER_MS);
    }
}

static void trip_end(void *ctx)
{
    struct trip *p = ctx;
    if (p->status == 200) {
        assert_int_equal(p->got, p->reply_bytes);
        assert_true(p->fault < FAULT_ABORT);
        p->t->ok++;
    } else {
        assert_int_equal(p->status, 502);
        p->t->failed++;
    }
    trip_over(p);
}

static void trip_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct trip *p = ctx;
    if (p->fault < FAULT_ABORT && !p->t->harsh)
        fail_msg("trip %u (%d to %d, fault %d, got %zu of %zu) failed: %s, " STR_FMT "%s",
                 p->number, p->front, p->upstream, p->fault, p->got, p->reply_bytes,
                 err_row(err)->text, STR_ARG(reason), unprocessed ? ", unprocessed" : "");
    p->t->failed++;
    trip_over(p);
}

static void trip_drain(void *ctx)
{
    trip_ready(ctx);
}

static const struct exchange_handler trip_exchange = {
    trip_ready, trip_head, trip_body, trip_end, trip_fail, trip_drain,
};

static void plan(struct trip *p)
{
    struct stress *t = p->t;
    p->front = (enum kind)random_below(t, KINDS);
    p->upstream = (enum kind)random_below(t, KINDS);
    if (one_in(t, 3))
        p->fault = (enum fault)random_below(t, t->harsh ? FAULTS : FAULT_RESET);
    p->request_bytes = one_in(t, 4) ? 0 : random_size(t);
    p->reply_bytes = one_in(t, 8) ? 0 : random_size(t);
    p->streamed = one_in(t, 2);
    p->request_length = one_in(t, 2);
    p->reply_length = one_in(t, 2);
    if (p->reply_bytes == 0 && p->fault >= FAULT_ABORT)
        p->reply_bytes = 1; /* something must be missing */
    p->break_at = random_below(t, (uint32_t)p->reply_bytes + (p->reply_bytes == 0));
    p->cancels = one_in(t, 7);
    p->cancel_at = one_in(t, 2) ? 0 : random_below(t, (uint32_t)p->reply_bytes + 1);
}

static void open_trip(struct stress *t)
{
    struct trip *p = &t->trip[t->opened];
    char target[16];
    p->t = t;
    p->number = (uint32_t)t->opened++;
    timeout_init(&p->timer, trip_timer, p);
    plan(p);
    buf_init(&p->body, 1 << 20);
    fill(&p->body, p->number * 2, 0, p->request_bytes);
    int n = snprintf(target, sizeof(target), "/%u", p->number);
    struct http_head head = {
        .method = S("POST"),
        .target = { target, (size_t)n },
        .authority = S("localhost"),
    };
    struct exchange_request r = {
        .origin = t->to_front[p->front],
        .head = &head,
        .body = buf_str(&p->body),
        .streamed = p->streamed,
        .streamed_bytes = p->request_length ? (int64_t)p->request_bytes : -1,
    };
    p->x = pool_open(t->clients, &r, &trip_exchange, p);
    if (p->cancels && p->cancel_at == 0)
        timeout_set(&t->loop, &p->timer, random_below(t, 8) * NS_PER_MS);
    check_limits(t);
}

static void open_more(struct stress *t)
{
    while (t->opened < TRIPS && t->opened - t->ended < AT_ONCE)
        open_trip(t);
}

/* --- the whole --- */

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void hangs(void *ctx)
{
    struct stress *t = ctx;
    struct pool_counts c, u;
    pool_count(t->clients, &c);
    pool_count(t->upstreams, &u);
    for (int i = 0; i < t->opened; i++) {
        const struct trip *p = &t->trip[i];
        if (p->ends == 0)
            print_message("open: %u, %d to %d, fault %d, request %zu of %zu, reply %zu of %zu,"
                          " status %d, paused %d, armed %d\n",
                          p->number, p->front, p->upstream, p->fault, p->sent, p->request_bytes,
                          p->got, p->reply_bytes, p->status, p->paused, timeout_armed(&p->timer));
    }
    fail_msg("hangs: %d of %d ended, %d hops, %d stays; clients %d/%d/%d waiting %d;"
             " upstreams %d/%d/%d waiting %d",
             t->ended, t->opened, t->hops, t->stays, c.connecting, c.idle, c.busy, c.waiting,
             u.connecting, u.idle, u.busy, u.waiting);
}

static int only_http1(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                      const unsigned char *offered, unsigned n, void *ctx)
{
    static const unsigned char http1[] = "http/1.1";
    (void)ssl;
    (void)offered;
    (void)n;
    (void)ctx;
    *ret = http1;
    *ret_n = sizeof(http1) - 1;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *tls_of(struct stress *t, enum kind kind)
{
    return kind == TLS_H2 ? t->server_tls[0] : kind == TLS_H1 ? t->server_tls[1] : NULL;
}

static void old_drained(void *ctx)
{
    ((struct stress *)ctx)->drained++;
}

/* Another upstream takes over the socket; the old one finishes what it has. */
static void rotate(void *ctx)
{
    struct stress *t = ctx;
    uint32_t k = random_below(t, KINDS);
    t->old[t->olds++] = t->upstream[k];
    t->upstream[k] = server_new(&t->loop, dup(t->listening[k]), tls_of(t, (enum kind)k),
                                &t->upstream_limits, &upstream_handler, t);
    server_drain(t->old[t->olds - 1], old_drained, t);
    if (t->olds < TRIPS)
        timeout_set(&t->loop, &t->rotation, (5 + random_below(t, 30)) * NS_PER_MS);
}

static struct origin *origin_of(struct pool *pool, enum kind kind, uint16_t port)
{
    struct origin_settings s = {
        .name = S("o"),
        .host = S("127.0.0.1"),
        .port = port,
        .tls = kind >= TLS_H2,
        .prior_h2 = kind == PLAIN_H2,
    };
    return pool_add_origin(pool, &s);
}

static void setup_tls(struct stress *t)
{
    struct buf error;
    buf_init(&error, 1000);
    snprintf(t->cert, sizeof(t->cert), "/tmp/ccp_stress_%d_cert.pem", (int)getpid());
    snprintf(t->key, sizeof(t->key), "/tmp/ccp_stress_%d_key.pem", (int)getpid());
    assert_int_equal(tls_self_signed(t->cert, t->key), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tls_server_new(t->cert, t->key, &t->server_tls[i], &error), 0);
    SSL_CTX_set_alpn_select_cb(t->server_tls[1], only_http1, NULL);
    assert_int_equal(tls_client_new(t->cert, &t->client_tls, &error), 0);
    unlink(t->cert);
    unlink(t->key);
    buf_done(&error);
}

static void setup_limits(struct stress *t)
{
    t->front_limits = default_limits();
    t->front_limits.body_grace_ns = 60 * NS_PER_S;
    t->front_limits.conns_max = 1000;
    t->upstream_limits = t->front_limits;
    t->upstream_limits.keepalive_ns = 20 * NS_PER_MS;
    t->upstream_limits.h2.streams_max = 7;
}

/* The loop must not sleep while something outside of it is waited for. */
static void ticked(void *ctx)
{
    struct stress *t = ctx;
    timeout_set(&t->loop, &t->tick, 5 * NS_PER_MS);
}

static void setup(struct stress *t, uint32_t seed, bool harsh)
{
    struct buf error;
    buf_init(&error, 1000);
    t->random = seed;
    t->harsh = harsh;
    loop_init(&t->loop);
    timeout_init(&t->guard, hangs, t);
    timeout_init(&t->rotation, rotate, t);
    timeout_init(&t->tick, ticked, t);
    timeout_set(&t->loop, &t->guard, GUARD_S * NS_PER_S);
    ticked(t);
    setup_tls(t);
    setup_limits(t);
    struct pool_settings settings = {
        .conns_max = CONNS_MAX,
        .idle_max = 10,
        .waiting_max = 1000,
        .idle_ns = 21 * NS_PER_MS, /* often the upstream is a little faster */
        .connect_ns = 10 * NS_PER_S,
        .dns_ttl_ns = 10 * NS_PER_S,
        .tls = t->client_tls,
        .reply_header_bytes = 65536,
    };
    t->upstreams = pool_new(&t->loop, &settings);
    settings.idle_ns = NS_PER_S;
    t->clients = pool_new(&t->loop, &settings);
    for (int k = 0; k < KINDS; k++) {
        int fd = -1;
        enum kind kind = (enum kind)k;
        assert_int_equal(listener_open(S("127.0.0.1"), 0, &fd, &error), 0);
        t->to_front[k] = origin_of(t->clients, kind, listener_port(fd));
        t->front[k] =
            server_new(&t->loop, fd, tls_of(t, kind), &t->front_limits, &front_handler, t);
        assert_int_equal(listener_open(S("127.0.0.1"), 0, &t->listening[k], &error), 0);
        t->to_upstream[k] = origin_of(t->upstreams, kind, listener_port(t->listening[k]));
        t->upstream[k] = server_new(&t->loop, dup(t->listening[k]), tls_of(t, kind),
                                    &t->upstream_limits, &upstream_handler, t);
    }
    timeout_set(&t->loop, &t->rotation, 10 * NS_PER_MS);
    buf_done(&error);
}

static bool is_quiet(struct stress *t)
{
    struct pool_counts n;
    pool_count(t->upstreams, &n);
    if (t->ended < TRIPS || t->hops > 0 || t->stays > 0 || n.busy + n.connecting + n.waiting > 0)
        return false;
    pool_count(t->clients, &n);
    if (n.busy + n.connecting + n.waiting > 0)
        return false;
    for (int k = 0; k < KINDS; k++)
        if (server_streams(t->front[k]) + server_streams(t->upstream[k]) > 0)
            return false;
    return t->drained == t->olds;
}

static void teardown(struct stress *t)
{
    pool_free(t->clients);
    pool_free(t->upstreams);
    for (int k = 0; k < KINDS; k++) {
        close(t->listening[k]);
        server_drain(t->front[k], old_drained, t);
        server_drain(t->upstream[k], old_drained, t);
    }
    while (t->drained < t->olds + 2 * KINDS)
        uv_run(&t->loop.uv, UV_RUN_ONCE);
    for (int k = 0; k < KINDS; k++) {
        assert_int_equal(server_conns(t->front[k]) + server_conns(t->upstream[k]), 0);
        server_free(t->front[k]);
        server_free(t->upstream[k]);
    }
    for (int i = 0; i < t->olds; i++) {
        assert_int_equal(server_conns(t->old[i]) + server_streams(t->old[i]), 0);
        server_free(t->old[i]);
    }
    for (int i = 0; i < t->opened; i++)
        buf_done(&t->trip[i].body);
    timeout_clear(&t->loop, &t->guard);
    timeout_clear(&t->loop, &t->tick);
    loop_done(&t->loop); /* checks that no timeout and no handle is left */
    SSL_CTX_free(t->server_tls[0]);
    SSL_CTX_free(t->server_tls[1]);
    SSL_CTX_free(t->client_tls);
}

static void run(uint32_t seed, bool harsh)
{
    int fds = open_fds();
    struct stress *t = mem_new(struct stress);
    print_message("seed %u%s\n", seed, harsh ? ", harsh" : "");
    setup(t, seed, harsh);
    open_more(t);
    while (t->ended < TRIPS)
        uv_run(&t->loop.uv, UV_RUN_ONCE);
    timeout_clear(&t->loop, &t->rotation);
    while (!is_quiet(t))
        uv_run(&t->loop.uv, UV_RUN_ONCE);
    for (int i = 0; i < TRIPS; i++)
        assert_int_equal(t->trip[i].ends, 1);
    print_message("%d complete, %d failed, %d cancelled, %d retried, %d upstreams replaced\n",
                  t->ok, t->failed, t->cancelled, t->retried, t->olds);
    /* how many of the others' faults hit depends on how busy the machine is */
    assert_true(t->ok > TRIPS / 4);
    teardown(t);
    free(t);
    assert_int_equal(open_fds(), fds);
}

/* Nothing but its own plan may break an exchange. */
static void test_gentle(void **state)
{
    static const uint32_t seeds[] = { 1, 22, 333 };
    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        run(seeds[i], false);
}

/* Conns are reset, so that others on them may fail; but none hangs or gets wrong bytes. */
static void test_harsh(void **state)
{
    static const uint32_t seeds[] = { 5, 66, 777 };
    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        run(seeds[i], true);
}

/* What libuv opens once and keeps is no leak. */
static int warm_up(void **state)
{
    struct loop l;
    (void)state;
    loop_init(&l);
    loop_done(&l);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gentle),
        cmocka_unit_test(test_harsh),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
