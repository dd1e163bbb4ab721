#include "models.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "err.h"
#include "hash.h"
#include "mem.h"
#include "models_list.h"
#include "request_reply.h"

/* One upstream's list for one key: being looked up, or known. */
struct entry {
    struct list link; /* newest first */
    struct models_cache *cache;
    const struct upstream *upstream;
    unsigned char key_hash[HASH_BYTES];
    int64_t until_ns; /* 0: not known (yet) */
    struct models_list list;
    struct buf body;           /* as it comes */
    struct exchange *exchange; /* NULL: the look-up is over */
    int status;
    struct timeout limit;
    bool late; /* MODELS_WAIT_MS are over: nobody waits for it any more */
};

/* A request, and what it wants to know. */
struct waiter {
    struct list link;
    struct request *request;
    struct entry *entries[UPSTREAMS_MAX + 1]; /* NULL: this one failed, or was not asked */
    size_t n;
};

struct models_cache {
    struct worker *worker;
    struct list entries;
    struct list waiting; /* struct waiter */
    int n;
};

static const int64_t FRESH_NS = 300 * NS_PER_S;

struct models_cache *models_new(struct worker *w)
{
    struct models_cache *m = mem_new(struct models_cache);
    m->worker = w;
    list_init(&m->entries);
    list_init(&m->waiting);
    return m;
}

static void drop(struct entry *e)
{
    struct models_cache *m = e->cache;
    if (e->exchange != NULL)
        exchange_cancel(e->exchange);
    timeout_clear(&m->worker->loop, &e->limit);
    list_each (it, tmp, &m->waiting) {
        struct waiter *w = list_entry(it, struct waiter, link);
        for (size_t i = 0; i < w->n; i++)
            if (w->entries[i] == e)
                w->entries[i] = NULL;
    }
    list_remove(&e->link);
    m->n--;
    buf_done(&e->body);
    models_list_done(&e->list);
    free(e);
}

static void forget(struct waiter *w)
{
    list_remove(&w->link);
    free(w);
}

void models_free(struct models_cache *m)
{
    if (m == NULL)
        return;
    list_each (it, tmp, &m->waiting)
        forget(list_entry(it, struct waiter, link));
    list_each (it, tmp, &m->entries)
        drop(list_entry(it, struct entry, link));
    free(m);
}

static struct str default_owner(enum service s)
{
    return s == SERVICE_CLAUDE ? S("anthropic") : S("openai");
}

/* --- answering --- */

static bool is_awaited(const struct entry *e)
{
    return e != NULL && e->exchange != NULL && !e->late;
}

static bool is_complete(const struct waiter *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (is_awaited(w->entries[i]))
            return false;
    return true;
}

/* With what is known; the setting MODELS when that is nothing. */
static void answer(struct waiter *w)
{
    struct request *r = w->request;
    const struct models_list *lists[UPSTREAMS_MAX + 1];
    struct models_list configured;
    struct buf body;
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->entries[i] != NULL && w->entries[i]->until_ns > 0)
            lists[n++] = &w->entries[i]->list;
    models_list_init(&configured);
    if (n == 0) {
        models_list_names(&configured, r->worker->config->models, default_owner(r->service));
        lists[n++] = &configured;
    }
    buf_init(&body, SIZE_MAX / 2); /* the lists are bounded */
    struct models_page page;
    models_page_read(&page, r->route.query, &r->arena);
    models_list_write(lists, n, &page, &body);
    models_list_done(&configured);
    forget(w);
    request_reply(r, 200, S("application/json"), buf_str(&body));
    buf_done(&body);
    request_finish(r);
}

/* A look-up is over, or too slow.  Answering changes the list of waiters. */
static void answer_complete(struct models_cache *m)
{
    list_each (it, tmp, &m->waiting) {
        struct waiter *w = list_entry(it, struct waiter, link);
        if (is_complete(w))
            answer(w);
    }
}

/* First nobody waits any more, while the look-up goes on for the cache; then that ends too. */
static void on_limit(void *ctx)
{
    struct entry *e = ctx;
    struct worker *w = e->cache->worker;
    if (e->late) {
        drop(e);
        return;
    }
    e->late = true;
    int64_t rest_ms = w->config->http_timeout_ms - MODELS_WAIT_MS;
    timeout_set(&w->loop, &e->limit, (rest_ms > 0 ? rest_ms : 1) * NS_PER_MS);
    answer_complete(e->cache);
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct entry *e = ctx;
    e->status = head->status;
}

static void on_body(void *ctx, struct str bytes)
{
    struct entry *e = ctx;
    buf_add(&e->body, bytes);
}

static void give_up(struct entry *e)
{
    struct models_cache *m = e->cache;
    drop(e);
    answer_complete(m);
}

static void on_end(void *ctx)
{
    struct entry *e = ctx;
    struct models_cache *m = e->cache;
    e->exchange = NULL;
    bool ok = e->status == 200 && !e->body.overflow &&
              models_list_read(&e->list, buf_str(&e->body), default_owner(e->upstream->service));
    if (!ok) {
        give_up(e);
        return;
    }
    buf_done(&e->body);
    e->until_ns = loop_now_ns(&m->worker->loop) + FRESH_NS;
    timeout_clear(&m->worker->loop, &e->limit);
    answer_complete(m);
}

static void on_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct entry *e = ctx;
    (void)err;
    (void)reason;
    (void)unprocessed;
    e->exchange = NULL;
    give_up(e);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static const struct exchange_handler callbacks = {
    .on_ready = on_nothing,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_drain = on_nothing,
};

/* --- looking up --- */

static struct entry *find(struct models_cache *m, const struct upstream *u,
                          const unsigned char *key_hash)
{
    list_each (it, tmp, &m->entries) {
        struct entry *e = list_entry(it, struct entry, link);
        if (e->upstream == u && memcmp(e->key_hash, key_hash, sizeof(e->key_hash)) == 0)
            return e;
    }
    return NULL;
}

static void look_up(struct entry *e, struct request *r)
{
    const struct upstream *u = e->upstream;
    bool messages = u->protocol == PROTOCOL_MESSAGES;
    enum protocol own = r->service == SERVICE_CLAUDE ? PROTOCOL_MESSAGES : PROTOCOL_RESPONSES;
    const struct headers_rule rule = {
        .protocol = u->protocol,
        .client = r->credential,
        .server_key = u->key,
        .auth_style = r->worker->config->anthropic_auth_style,
        .json = true,
        .converted = (u->speaks & 1u << own) == 0,
    };
    struct http_head head = {
        .method = S("GET"),
        .target = arena_printf(&r->work, STR_FMT "/v1/models%s", STR_ARG(u->prefix),
                               messages ? "?limit=1000" : ""),
        .scheme = u->scheme,
        .authority = u->authority,
    };
    headers_for_upstream(&head.headers, &r->work, &r->head.headers, &rule);
    const struct exchange_request x = { .origin = u->origin, .head = &head };
    timeout_set(&r->worker->loop, &e->limit, MODELS_WAIT_MS * NS_PER_MS);
    e->exchange = pool_open(r->worker->pool, &x, &callbacks, e);
}

/* Makes room: the oldest that is known. */
static void evict(struct models_cache *m)
{
    if (m->n < MODELS_CACHE_MAX)
        return;
    struct entry *oldest = NULL;
    list_each (it, tmp, &m->entries) {
        struct entry *e = list_entry(it, struct entry, link);
        if (!is_awaited(e))
            oldest = e;
    }
    if (oldest != NULL)
        drop(oldest);
}

static struct entry *add(struct models_cache *m, const struct upstream *u,
                         const unsigned char *key_hash)
{
    evict(m);
    if (m->n >= MODELS_CACHE_MAX)
        return NULL;
    struct entry *e = mem_new(struct entry);
    e->cache = m;
    e->upstream = u;
    memcpy(e->key_hash, key_hash, sizeof(e->key_hash));
    models_list_init(&e->list);
    buf_init(&e->body, MODELS_LIST_BYTES);
    timeout_init(&e->limit, on_limit, e);
    list_prepend(&m->entries, &e->link);
    m->n++;
    return e;
}

/* What is known of this upstream for this client, or a look-up under way; NULL: too many are. */
static struct entry *ask(struct models_cache *m, const struct upstream *u, struct request *r)
{
    unsigned char hash[HASH_BYTES];
    struct str key = u->key.n > 0 ? u->key : r->credential.value;
    hash_sha256(key, hash);
    struct entry *e = find(m, u, hash);
    if (e != NULL && e->exchange == NULL && e->until_ns <= loop_now_ns(&m->worker->loop)) {
        drop(e); /* too old */
        e = NULL;
    }
    if (e != NULL)
        return e;
    e = add(m, u, hash);
    if (e != NULL)
        look_up(e, r);
    return e;
}

void models_reply(struct request *r)
{
    struct models_cache *m = r->worker->models;
    const struct upstream *asked[UPSTREAMS_MAX + 1];
    struct waiter *w = mem_new(struct waiter);
    size_t n = upstreams_of_service(r->worker->routes, r->service, asked);
    w->request = r;
    list_append(&m->waiting, &w->link);
    for (size_t i = 0; i < n; i++)
        w->entries[w->n++] = ask(m, asked[i], r);
    if (is_complete(w))
        answer(w);
}

void models_forget(struct request *r)
{
    if (r->worker->models == NULL)
        return;
    list_each (it, tmp, &r->worker->models->waiting) {
        struct waiter *w = list_entry(it, struct waiter, link);
        if (w->request == r)
            forget(w);
    }
}
