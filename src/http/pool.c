#include "pool.h"

#include <stdlib.h>

#include "clock.h"
#include "err.h"
#include "mem.h"
#include "must.h"
#include "pool_internal.h"
#include "slab.h"

static struct slab exchanges = SLAB_OF(exchanges, struct exchange);

enum { ORIGIN_TEXT_BYTES = 64 * 1024 };

struct pool *pool_new(struct loop *l, const struct pool_settings *settings)
{
    must(settings->conns_max > 0);
    struct pool *p = mem_new(struct pool);
    p->loop = l;
    p->settings = *settings;
    p->h1_limits = (struct h1_limits){
        .header_bytes = settings->reply_header_bytes,
        .field_bytes = settings->reply_header_bytes,
        .target_bytes = settings->reply_header_bytes,
        .fields_max = POOL_REPLY_FIELDS_MAX,
    };
    p->h2_limits = (struct h2_limits){
        .header_bytes = settings->reply_header_bytes,
        .fields_max = POOL_REPLY_FIELDS_MAX,
        .streams_max = POOL_STREAMS_MAX,
    };
    p->dns = dns_new(l, settings->dns_ttl_ns, settings->dns_stale_ns);
    for (int i = 0; i < POOL_STATES; i++)
        list_init(&p->in[i]);
    list_init(&p->origins);
    list_init(&p->waiters);
    timeout_init(&p->idle_timer, pool_on_idle_timer, p);
    timeout_init(&p->names_timer, pool_on_names_timer, p);
    return p;
}

static void origin_free(struct origin *o)
{
    must(list_empty(&o->shared));
    list_remove(&o->link);
    tls_sessions_done(&o->sessions);
    arena_done(&o->arena);
    free(o);
}

/* When the last on_fail(E_CLOSED) has been called and the conns are gone. */
static void free_when_quiet(void *ctx)
{
    struct pool *p = ctx;
    if (p->exchanges > 0 || p->count[POOL_CLOSING] > 0) {
        loop_defer(p->loop, free_when_quiet, p);
        return;
    }
    list_each (it, tmp, &p->origins) {
        origin_free(list_entry(it, struct origin, link));
    }
    free(p);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    p->closed = true;
    list_each (it, tmp, &p->waiters) {
        exchange_fail(list_entry(it, struct exchange, link), E_CLOSED, "shutting down", false);
    }
    for (int i = POOL_CONNECTING; i < POOL_CLOSING; i++) {
        list_each (it, tmp, &p->in[i]) {
            pool_lose(list_entry(it, struct pool_conn, link), E_CLOSED, "shutting down", false);
        }
    }
    timeout_clear(p->loop, &p->idle_timer);
    timeout_clear(p->loop, &p->names_timer);
    list_each (it, tmp, &p->origins) {
        dns_cancel(list_entry(it, struct origin, link)->query);
    }
    dns_free(p->dns);
    p->dns = NULL;
    loop_defer(p->loop, free_when_quiet, p);
}

struct origin *pool_add_origin(struct pool *p, const struct origin_settings *settings)
{
    struct origin *o = mem_new(struct origin);
    o->pool = p;
    list_init(&o->shared);
    list_append(&p->origins, &o->link);
    arena_init_secret(&o->arena, ORIGIN_TEXT_BYTES);
    struct origin_settings *s = &o->settings;
    *s = *settings;
    s->name = arena_str(&o->arena, s->name);
    s->host = arena_str(&o->arena, s->host);
    s->proxy_host = arena_str(&o->arena, s->proxy_host);
    if (s->proxy_user.p) { /* NULL means none, see connect.h */
        s->proxy_user = arena_str(&o->arena, s->proxy_user);
        s->proxy_password = arena_str(&o->arena, s->proxy_password);
    }
    SSL_CTX *tls = s->tls_client != NULL ? s->tls_client : p->settings.tls;
    if (s->tls && tls != NULL)
        tls_client_warm(tls); /* now, not while streams wait */
    o->reached = s->proxy == CONNECT_DIRECT ? s->host : s->proxy_host;
    o->named = !dns_is_literal(o->reached);
    o->retry_tenths = POOL_RETRY_TENTHS_MAX;
    o->retry_since_ns = loop_now_ns(p->loop);
    o->streams_max = POOL_STREAMS_MAX;
    o->shares = s->prior_h2 && !s->tls;
    return o;
}

size_t pool_ports(const struct pool *p, uint16_t *ret_ports, size_t max)
{
    size_t n = 0;
    for (const struct list *it = p->origins.next; it != &p->origins; it = it->next) {
        const struct origin *o = list_entry(it, struct origin, link);
        bool direct = o->settings.proxy == CONNECT_DIRECT;
        uint16_t port = direct ? o->settings.port : o->settings.proxy_port;
        size_t i = 0;
        while (i < n && ret_ports[i] != port)
            i++;
        if (i == n && n < max)
            ret_ports[n++] = port;
    }
    return n;
}

bool pool_may_retry(struct origin *o)
{
    int64_t now_ns = loop_now_ns(o->pool->loop);
    int64_t passed_s = (now_ns - o->retry_since_ns) / NS_PER_S;
    int64_t tenths = o->retry_tenths + passed_s * POOL_RETRY_TENTHS_PER_S;
    o->retry_since_ns += passed_s * NS_PER_S;
    o->retry_tenths = tenths < POOL_RETRY_TENTHS_MAX ? (int)tenths : POOL_RETRY_TENTHS_MAX;
    if (o->retry_tenths < POOL_RETRY_TENTHS)
        return false;
    o->retry_tenths -= POOL_RETRY_TENTHS;
    return true;
}

/* Content-length, -1 for chunks, -2 for no body, as h1_write_request() wants it. */
static int64_t body_bytes(const struct exchange_request *r)
{
    if (r->streamed)
        return r->streamed_bytes >= 0 ? r->streamed_bytes : -1;
    /* rfc9110,s8.6: content-length 0 for methods that define a body */
    bool expected = str_eq(r->head->method, S("POST")) || str_eq(r->head->method, S("PUT")) ||
                    str_eq(r->head->method, S("PATCH"));
    return r->body.n > 0 || expected ? (int64_t)r->body.n : -2;
}

struct exchange *pool_open(struct pool *p, const struct exchange_request *request,
                           const struct exchange_handler *handler, void *ctx)
{
    must(request->origin->pool == p);
    struct exchange *x = slab_take(&exchanges);
    x->pool = p;
    x->origin = request->origin;
    x->handler = handler;
    x->ctx = ctx;
    x->send = request->streamed ? SEND_STREAMED : SEND_WHOLE;
    x->body = request->streamed ? S("") : request->body;
    x->body_bytes = body_bytes(request);
    x->streamed_left = request->streamed ? x->body_bytes : -1;
    x->serial = p->serial;
    x->fresh = request->fresh;
    x->head = request->head;
    list_append(&p->waiters, &x->link);
    x->origin->waiting++;
    p->exchanges++;

    if (p->closed)
        exchange_fail(x, E_CLOSED, "shutting down", false);
    else if (pool_serve(p) > p->settings.waiting_max && x->state == EXCHANGE_WAITING)
        exchange_fail(x, E_NO_CAPACITY, "no free connection, and the queue for one is full", false);
    else if (x->state == EXCHANGE_WAITING)
        exchange_wait(x);
    return x;
}

void pool_count(const struct pool *p, struct pool_counts *ret_counts)
{
    int waiting = 0;
    list_each (it, tmp, &p->waiters) {
        waiting++;
    }
    *ret_counts = (struct pool_counts){
        .connecting = p->count[POOL_CONNECTING],
        .idle = p->count[POOL_IDLE],
        .busy = p->count[POOL_BUSY] + p->count[POOL_DRAINING],
        .waiting = waiting,
    };
}
