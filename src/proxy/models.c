#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "hash.h"
#include "json.h"
#include "mem.h"
#include "reply.h"
#include "request_reply.h"

enum { LIST_LIMIT_BYTES = 4 << 20, MODELS_MAX = 20000 };

/* One upstream's list for one key: being looked up, or known. */
struct entry {
    struct list link; /* newest first */
    struct models_cache *cache;
    enum service service;
    unsigned char key_hash[HASH_BYTES];
    int64_t until_ns; /* 0: not known (yet) */
    struct buf body;  /* known: in our shape.  Under way: as it comes */
    struct exchange *exchange;
    int status;
    struct list waiting; /* struct waiter */
    struct timeout limit;
    bool late; /* MODELS_WAIT_MS are over: nobody waits for it any more */
};

struct waiter {
    struct list link;
    struct request *request;
};

struct models_cache {
    struct worker *worker;
    struct list entries;
    int n;
};

static const int64_t FRESH_NS = 300 * NS_PER_S;

struct models_cache *models_new(struct worker *w)
{
    struct models_cache *m = mem_new(struct models_cache);
    m->worker = w;
    list_init(&m->entries);
    return m;
}

static void drop(struct entry *e)
{
    if (e->exchange != NULL)
        exchange_cancel(e->exchange);
    timeout_clear(&e->cache->worker->loop, &e->limit);
    list_each (it, tmp, &e->waiting) {
        list_remove(it);
        free(list_entry(it, struct waiter, link));
    }
    list_remove(&e->link);
    e->cache->n--;
    buf_done(&e->body);
    free(e);
}

void models_free(struct models_cache *m)
{
    if (m == NULL)
        return;
    list_each (it, tmp, &m->entries)
        drop(list_entry(it, struct entry, link));
    free(m);
}

/* --- our shape --- */

struct model {
    struct str id, display_name, owner;
    int64_t created;
};

static int64_t parse_time(struct str rfc3339)
{
    struct tm t = { 0 };
    char text[32];
    if (rfc3339.n < 19 || rfc3339.n >= sizeof(text))
        return 0;
    memcpy(text, rfc3339.p, rfc3339.n);
    text[rfc3339.n] = '\0';
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &t) == NULL)
        return 0;
    return timegm(&t);
}

static void write_model(struct buf *out, const struct model *m)
{
    char when[32];
    time_t t = (time_t)m->created;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_add(out, S("{\"type\":\"model\",\"object\":\"model\",\"id\":"));
    json_write_str(out, m->id);
    buf_add(out, S(",\"display_name\":"));
    json_write_str(out, m->display_name.n > 0 ? m->display_name : m->id);
    buf_addf(out, ",\"created_at\":\"%s\",\"created\":%lld,\"owned_by\":", when,
             (long long)m->created);
    json_write_str(out, m->owner);
    buf_add_byte(out, '}');
}

static void write_list(struct buf *out, const struct model *models, size_t n)
{
    static const struct str none = S_INIT("");
    buf_add(out, S("{\"object\":\"list\",\"has_more\":false,\"first_id\":"));
    if (n == 0) {
        buf_add(out, S("null,\"last_id\":null,\"data\":[]}"));
        return;
    }
    json_write_str(out, n > 0 ? models[0].id : none);
    buf_add(out, S(",\"last_id\":"));
    json_write_str(out, models[n - 1].id);
    buf_add(out, S(",\"data\":["));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        write_model(out, &models[i]);
    }
    buf_add(out, S("]}"));
}

static struct str default_owner(enum service s)
{
    return s == SERVICE_CLAUDE ? S("anthropic") : S("openai");
}

static void write_configured(const struct worker *w, enum service service, struct buf *out)
{
    struct arena a;
    struct str rest = w->config->models, part;
    size_t n = 0, cap = 1;
    for (size_t i = 0; i < rest.n; i++)
        cap += rest.p[i] == ',';
    arena_init(&a, 16 << 20);
    struct model *models = arena_new(&a, struct model, cap);
    while (str_next(&rest, ',', &part))
        if (str_trim(part).n > 0)
            models[n++] = (struct model){ .id = str_trim(part),
                                          .owner = default_owner(service),
                                          .created = 1735689600 };
    write_list(out, models, n);
    arena_done(&a);
}

/* Either family's list into ours; false when it is none. */
static bool write_upstream(struct str body, enum service service, struct buf *out)
{
    yyjson_doc *doc;
    struct json_error ignored;
    if (json_parse(body, &doc, &ignored) < 0)
        return false;
    yyjson_val *data = json_member(yyjson_doc_get_root(doc), S("data"));
    bool ok = yyjson_is_arr(data);
    struct arena a;
    arena_init(&a, 64 << 20);
    size_t all = yyjson_arr_size(data);
    struct model *models = arena_new(&a, struct model, all < MODELS_MAX ? all + 1 : MODELS_MAX);
    size_t i, max, n = 0;
    yyjson_val *v;
    yyjson_arr_foreach(data, i, max, v)
    {
        struct model m = { .id = json_member_str(v, S("id")),
                           .display_name = json_member_str(v, S("display_name")),
                           .owner = json_member_str(v, S("owned_by")) };
        uint64_t created;
        if (json_member_u64(v, S("created"), &created) && created < (uint64_t)INT32_MAX * 4)
            m.created = (int64_t)created;
        else
            m.created = parse_time(json_member_str(v, S("created_at")));
        if (m.owner.n == 0)
            m.owner = default_owner(service);
        if (m.id.n > 0 && n < MODELS_MAX)
            models[n++] = m;
    }
    if (ok)
        write_list(out, models, n);
    arena_done(&a);
    yyjson_doc_free(doc);
    return ok;
}

/* --- answering --- */

static void answer(struct request *r, struct str body)
{
    request_reply(r, 200, S("application/json"), body);
    request_finish(r);
}

static void answer_all(struct entry *e, struct str body)
{
    while (!list_empty(&e->waiting)) {
        struct waiter *w = list_first(&e->waiting, struct waiter, link);
        struct request *r = w->request;
        list_remove(&w->link);
        free(w);
        answer(r, body);
    }
}

static void answer_configured(struct entry *e)
{
    struct buf body;
    buf_init(&body, LIST_LIMIT_BYTES);
    write_configured(e->cache->worker, e->service, &body);
    answer_all(e, buf_str(&body));
    buf_done(&body);
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
    answer_configured(e);
    int64_t rest_ms = w->config->http_timeout_ms - MODELS_WAIT_MS;
    timeout_set(&w->loop, &e->limit, (rest_ms > 0 ? rest_ms : 1) * NS_PER_MS);
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

static void on_end(void *ctx)
{
    struct entry *e = ctx;
    struct buf list;
    e->exchange = NULL;
    buf_init(&list, LIST_LIMIT_BYTES);
    if (e->status == 200 && !e->body.overflow &&
        write_upstream(buf_str(&e->body), e->service, &list) && !list.overflow) {
        buf_done(&e->body);
        e->body = list;
        e->until_ns = loop_now_ns(&e->cache->worker->loop) + FRESH_NS;
        timeout_clear(&e->cache->worker->loop, &e->limit);
        answer_all(e, buf_str(&e->body));
        return;
    }
    buf_done(&list);
    answer_configured(e);
    drop(e);
}

static void on_fail(void *ctx, int err, struct str reason, bool unprocessed)
{
    struct entry *e = ctx;
    (void)err;
    (void)reason;
    (void)unprocessed;
    e->exchange = NULL;
    answer_configured(e);
    drop(e);
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

static struct entry *find(struct models_cache *m, enum service service,
                          const unsigned char *key_hash)
{
    list_each (it, tmp, &m->entries) {
        struct entry *e = list_entry(it, struct entry, link);
        if (e->service == service && memcmp(e->key_hash, key_hash, sizeof(e->key_hash)) == 0)
            return e;
    }
    return NULL;
}

static void look_up(struct entry *e, struct request *r)
{
    const struct headers_rule rule = {
        .protocol = r->upstream_protocol,
        .client = r->credential,
        .server_key = r->upstream->key,
        .auth_style = r->worker->config->anthropic_auth_style,
        .json = true,
    };
    struct http_head head = {
        .method = S("GET"),
        .target = arena_printf(&r->work, STR_FMT "/v1/models%s", STR_ARG(r->upstream->prefix),
                               r->service == SERVICE_CLAUDE ? "?limit=1000" : ""),
        .scheme = r->upstream->scheme,
        .authority = r->upstream->authority,
    };
    headers_for_upstream(&head.headers, &r->work, &r->head.headers, &rule);
    const struct exchange_request x = { .origin = r->upstream->origin, .head = &head };
    e->exchange = pool_open(r->worker->pool, &x, &callbacks, e);
    timeout_set(&r->worker->loop, &e->limit, MODELS_WAIT_MS * NS_PER_MS);
}

/* Makes room: the oldest that nobody waits for. */
static void evict(struct models_cache *m)
{
    if (m->n < MODELS_CACHE_MAX)
        return;
    struct entry *oldest = NULL;
    list_each (it, tmp, &m->entries) {
        struct entry *e = list_entry(it, struct entry, link);
        if (list_empty(&e->waiting))
            oldest = e;
    }
    if (oldest != NULL)
        drop(oldest);
}

static struct entry *add(struct models_cache *m, enum service service,
                         const unsigned char *key_hash)
{
    evict(m);
    if (m->n >= MODELS_CACHE_MAX)
        return NULL;
    struct entry *e = mem_new(struct entry);
    e->cache = m;
    e->service = service;
    memcpy(e->key_hash, key_hash, sizeof(e->key_hash));
    buf_init(&e->body, LIST_LIMIT_BYTES);
    list_init(&e->waiting);
    timeout_init(&e->limit, on_limit, e);
    list_prepend(&m->entries, &e->link);
    m->n++;
    return e;
}

void models_reply(struct request *r)
{
    struct models_cache *m = r->worker->models;
    unsigned char hash[HASH_BYTES];
    struct str key = r->upstream->key.n > 0 ? r->upstream->key : r->credential.value;
    hash_sha256(key, hash);
    struct entry *e = find(m, r->service, hash);
    int64_t now = loop_now_ns(&m->worker->loop);
    if (e != NULL && e->exchange == NULL && e->until_ns > now) {
        answer(r, buf_str(&e->body));
        return;
    }
    if (e != NULL && e->exchange == NULL) {
        drop(e); /* too old */
        e = NULL;
    }
    bool begin = e == NULL;
    if (begin)
        e = add(m, r->service, hash);
    if (e == NULL) { /* too many look-ups under way at once */
        struct buf body;
        buf_init(&body, LIST_LIMIT_BYTES);
        write_configured(m->worker, r->service, &body);
        answer(r, buf_str(&body));
        buf_done(&body);
        return;
    }
    struct waiter *w = mem_new(struct waiter);
    w->request = r;
    list_append(&e->waiting, &w->link);
    if (begin)
        look_up(e, r);
    else if (e->late)
        answer_configured(e);
}

void models_forget(struct request *r)
{
    if (r->worker->models == NULL)
        return;
    list_each (it, tmp, &r->worker->models->entries) {
        struct entry *e = list_entry(it, struct entry, link);
        list_each (w, next, &e->waiting) {
            struct waiter *waiter = list_entry(w, struct waiter, link);
            if (waiter->request == r) {
                list_remove(w);
                free(waiter);
            }
        }
    }
}
