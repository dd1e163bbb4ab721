#include "dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "err.h"
#include "list.h"
#include "lookup.h"
#include "mem.h"
#include "must.h"

enum {
    NAMES_MAX = 256,
    NAME_BYTES_MAX = 253, /* rfc1035,s2.3.4 in text form */
};

/* How long a question waits for a new answer where an old one could do, and how long a failed
 * look-up is not repeated then. */
#define PATIENCE_NS (500 * NS_PER_MS)
#define REPEAT_NS (1000 * NS_PER_MS)

struct dns {
    struct loop *loop;
    struct lookups *lookups;
    int64_t ttl_ns, stale_ns;
    struct list names; /* most recently used first */
    size_t name_count;
};

/* One name: its last good answer, and who waits for a new one. */
struct name {
    struct list link; /* in dns->names */
    struct dns *dns;
    struct lookup *lookup; /* under way, or NULL */
    struct list waiting;   /* dns_query */
    struct timeout patience;
    struct dns_answer answer;
    int64_t answered_ns; /* 0: never */
    int64_t failed_ns;   /* when a look-up last failed or had taken too long; 0: not since */
    size_t n;
    char text[];
};

struct dns_query {
    struct list link; /* in name->waiting, or alone when deferred */
    dns_fn *fn;       /* NULL: cancelled while deferred */
    void *ctx;
    uint16_t port;
    bool deferred;
    int err;
    struct dns_answer answer;
};

static void set_port(struct dns_answer *a, uint16_t port)
{
    for (int i = 0; i < a->n; i++) {
        if (a->address[i].ss_family == AF_INET6)
            ((struct sockaddr_in6 *)&a->address[i])->sin6_port = htons(port);
        else
            ((struct sockaddr_in *)&a->address[i])->sin_port = htons(port);
    }
}

static void add_address(struct dns_answer *a, const struct sockaddr *address, socklen_t len)
{
    if (a->n == DNS_ADDRESSES_MAX || len > sizeof(a->address[0]))
        return;
    memcpy(&a->address[a->n], address, len);
    a->len[a->n++] = len;
}

/* The next address of a family at or behind ai. */
static const struct addrinfo *next_of(const struct addrinfo *ai, int family)
{
    while (ai != NULL && ai->ai_family != family)
        ai = ai->ai_next;
    return ai;
}

/* rfc8305,s4: the families take turns, IPv6 first. */
static void interleave(struct dns_answer *a, const struct addrinfo *found)
{
    const struct addrinfo *six = next_of(found, AF_INET6);
    const struct addrinfo *four = next_of(found, AF_INET);
    a->n = 0;
    while (six != NULL || four != NULL) {
        if (six != NULL) {
            add_address(a, six->ai_addr, six->ai_addrlen);
            six = next_of(six->ai_next, AF_INET6);
        }
        if (four != NULL) {
            add_address(a, four->ai_addr, four->ai_addrlen);
            four = next_of(four->ai_next, AF_INET);
        }
    }
}

static bool parse_literal(struct str host, struct dns_answer *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_slice(host, 1, host.n - 1);
    if (host.n == 0 || host.n >= sizeof(text))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    ret->n = 0;
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        add_address(ret, (const struct sockaddr *)&in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        add_address(ret, (const struct sockaddr *)&in6, sizeof(in6));
    return ret->n == 1;
}

bool dns_is_literal(struct str host)
{
    struct dns_answer a;
    return parse_literal(host, &a);
}

static void deliver(struct dns_query *q, int err, const struct dns_answer *answer)
{
    q->err = err;
    if (err == 0) {
        q->answer = *answer;
        set_port(&q->answer, q->port);
    }
    dns_fn *fn = q->fn;
    q->fn = NULL; /* dns_cancel() has nothing to do from here on */
    if (fn != NULL)
        fn(q->ctx, q->err, q->err == 0 ? &q->answer : NULL);
    free(q);
}

static void deliver_deferred(void *ctx)
{
    struct dns_query *q = ctx;
    deliver(q, q->err, &q->answer);
}

static void answer_later(struct loop *l, struct dns_query *q, int err,
                         const struct dns_answer *answer)
{
    q->deferred = true;
    q->err = err;
    if (err == 0)
        q->answer = *answer;
    loop_defer(l, deliver_deferred, q);
}

/* Hands one result to all who wait now; a callback may ask again or free the dns. */
static void deliver_all(struct loop *l, struct name *name, int err)
{
    while (!list_empty(&name->waiting)) {
        struct dns_query *q = list_first(&name->waiting, struct dns_query, link);
        list_remove(&q->link);
        answer_later(l, q, err, &name->answer);
    }
}

/* The last good answer may still be used. */
static bool may_serve(const struct name *name)
{
    const struct dns *d = name->dns;
    int64_t age = loop_now_ns(d->loop) - name->answered_ns;
    return name->answered_ns != 0 && age < d->ttl_ns + d->stale_ns;
}

static void on_looked_up(void *ctx, const struct addrinfo *found)
{
    struct name *name = ctx;
    struct dns *d = name->dns;
    int64_t now = loop_now_ns(d->loop);
    name->lookup = NULL;
    timeout_clear(d->loop, &name->patience);
    struct dns_answer fresh = { .looked_up_ns = now };
    interleave(&fresh, found);
    if (fresh.n > 0) {
        name->answer = fresh;
        name->answered_ns = now;
        name->failed_ns = 0;
    } else {
        name->failed_ns = now;
    }
    deliver_all(d->loop, name, fresh.n > 0 || may_serve(name) ? 0 : E_UPSTREAM_DNS);
}

/* The resolver is slow: nobody waits on for it who can do without. */
static void on_patience(void *ctx)
{
    struct name *name = ctx;
    if (!may_serve(name))
        return;
    name->failed_ns = loop_now_ns(name->dns->loop);
    deliver_all(name->dns->loop, name, 0);
}

static void drop_name(struct name *name)
{
    must(list_empty(&name->waiting));
    must(name->lookup == NULL);
    timeout_clear(name->dns->loop, &name->patience);
    list_remove(&name->link);
    name->dns->name_count--;
    free(name);
}

/* Room for one more name; false when all of them are being looked up. */
static bool make_room(struct dns *d)
{
    if (d->name_count < NAMES_MAX)
        return true;
    for (struct list *it = d->names.prev; it != &d->names; it = it->prev) {
        struct name *name = list_entry(it, struct name, link);
        if (name->lookup == NULL) {
            drop_name(name);
            return true;
        }
    }
    return false;
}

/* NULL: no room, or not a possible name. */
static struct name *find_name(struct dns *d, struct str host)
{
    list_each (it, tmp, &d->names) {
        struct name *name = list_entry(it, struct name, link);
        if (str_eq_nocase((struct str){ name->text, name->n }, host)) {
            list_remove(it);
            list_prepend(&d->names, it);
            return name;
        }
    }
    if (host.n == 0 || host.n > NAME_BYTES_MAX || memchr(host.p, '\0', host.n) != NULL)
        return NULL;
    if (!make_room(d))
        return NULL;
    struct name *name = mem_zalloc(sizeof(*name) + host.n + 1);
    memcpy(name->text, host.p, host.n);
    name->n = host.n;
    name->dns = d;
    list_init(&name->waiting);
    timeout_init(&name->patience, on_patience, name);
    list_prepend(&d->names, &name->link);
    d->name_count++;
    return name;
}

static void start_lookup(struct dns *d, struct name *name)
{
    if (lookup_start(d->lookups, name->text, on_looked_up, name, &name->lookup) < 0) {
        on_looked_up(name, NULL);
        return;
    }
    if (may_serve(name))
        timeout_set(d->loop, &name->patience, PATIENCE_NS);
}

struct dns *dns_new(struct loop *l, int64_t ttl_ns, int64_t stale_ns)
{
    struct dns *d = mem_new(struct dns);
    d->loop = l;
    d->lookups = lookups_new(l);
    d->ttl_ns = ttl_ns;
    d->stale_ns = stale_ns;
    list_init(&d->names);
    return d;
}

void dns_free(struct dns *d)
{
    if (d == NULL)
        return;
    list_each (it, tmp, &d->names) {
        struct name *name = list_entry(it, struct name, link);
        list_each (q, next, &name->waiting) {
            list_remove(q);
            free(list_entry(q, struct dns_query, link));
        }
        name->lookup = NULL; /* it runs out, and nobody is told */
        drop_name(name);
    }
    lookups_free(d->lookups);
    free(d);
}

static bool is_fresh(const struct name *name)
{
    return name->answered_ns != 0 &&
           loop_now_ns(name->dns->loop) - name->answered_ns < name->dns->ttl_ns;
}

/* The last good answer is all there is for now, and has to be looked up again only then. */
static bool is_held(const struct name *name)
{
    return name->failed_ns != 0 && may_serve(name) &&
           loop_now_ns(name->dns->loop) - name->failed_ns < REPEAT_NS;
}

struct dns_query *dns_find(struct dns *d, struct str host, uint16_t port, dns_fn *fn, void *ctx)
{
    must(fn != NULL);
    struct dns_query *q = mem_new(struct dns_query);
    q->fn = fn;
    q->ctx = ctx;
    q->port = port;
    list_init(&q->link);
    struct dns_answer literal;
    if (parse_literal(host, &literal)) {
        answer_later(d->loop, q, 0, &literal);
        return q;
    }
    struct name *name = find_name(d, host);
    if (name == NULL) {
        answer_later(d->loop, q, E_UPSTREAM_DNS, NULL);
        return q;
    }
    if (is_fresh(name) || (name->failed_ns != 0 && may_serve(name)))
        answer_later(d->loop, q, 0, &name->answer);
    else
        list_append(&name->waiting, &q->link);
    if (name->lookup == NULL && !is_fresh(name) && !is_held(name))
        start_lookup(d, name);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    if (q->deferred) {
        q->fn = NULL; /* deliver_deferred() frees it */
        return;
    }
    list_remove(&q->link);
    free(q);
}
