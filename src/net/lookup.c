#include "lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "list.h"
#include "mem.h"

/* What the loop and its threads share. */
struct lookups {
    uv_async_t wake;
    pthread_mutex_t lock;
    struct list ended; /* under lock: struct lookup, their threads are done with them */
    int users;         /* under lock: threads, and the loop until it has closed `wake` */
    int running;       /* the loop's: started, not yet told */
    bool closed;       /* under lock: nobody is told any more */
};

struct lookup {
    struct list link; /* in ended */
    struct lookups *shared;
    struct addrinfo *found;
    lookup_fn *fn; /* NULL: forgotten */
    void *ctx;
    char host[];
};

static void leave(struct lookups *s)
{
    pthread_mutex_lock(&s->lock);
    bool last = --s->users == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void free_lookup(struct lookup *k)
{
    if (k->found != NULL)
        freeaddrinfo(k->found);
    free(k);
}

/* --- the thread --- */

static void *run(void *arg)
{
    struct lookup *k = arg;
    struct lookups *s = k->shared;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    if (getaddrinfo(k->host, NULL, &hints, &found) != 0)
        found = NULL;
    k->found = found;
    pthread_mutex_lock(&s->lock);
    bool closed = s->closed;
    if (!closed) {
        list_append(&s->ended, &k->link);
        uv_async_send(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (closed)
        free_lookup(k);
    leave(s);
    return NULL;
}

/* The process's signals are the loop's. */
static int start_thread(struct lookup *k)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_attr_init(&attr) == 0);
    must(pthread_attr_setstacksize(&attr, LOOKUP_STACK_BYTES) == 0);
    must(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int e = pthread_create(&thread, &attr, run, k);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attr);
    return -e;
}

/* --- the loop --- */

static void on_wake(uv_async_t *wake)
{
    struct lookups *s = wake->data;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        struct lookup *k = NULL;
        if (!s->closed && !list_empty(&s->ended)) {
            k = list_first(&s->ended, struct lookup, link);
            list_remove(&k->link);
        }
        pthread_mutex_unlock(&s->lock);
        if (k == NULL)
            return;
        s->running--;
        if (k->fn != NULL)
            k->fn(k->ctx, k->found);
        free_lookup(k);
    }
}

struct lookups *lookups_new(struct loop *l)
{
    struct lookups *s = mem_new(struct lookups);
    list_init(&s->ended);
    s->users = 1;
    must(pthread_mutex_init(&s->lock, NULL) == 0);
    must(uv_async_init(&l->uv, &s->wake, on_wake) == 0);
    s->wake.data = s;
    return s;
}

static void on_wake_closed(uv_handle_t *handle)
{
    leave(handle->data);
}

void lookups_free(struct lookups *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_mutex_unlock(&s->lock);
    list_each (it, tmp, &s->ended) {
        list_remove(it);
        free_lookup(list_entry(it, struct lookup, link));
    }
    uv_close((uv_handle_t *)&s->wake, on_wake_closed);
}

int lookup_start(struct lookups *s, const char *host, lookup_fn *fn, void *ctx,
                 struct lookup **ret_lookup)
{
    must(fn != NULL);
    if (s->running == LOOKUPS_MAX)
        return -EAGAIN;
    size_t n = strlen(host);
    struct lookup *k = mem_zalloc(sizeof(*k) + n + 1);
    memcpy(k->host, host, n);
    list_init(&k->link);
    k->shared = s;
    k->fn = fn;
    k->ctx = ctx;
    pthread_mutex_lock(&s->lock);
    s->users++;
    pthread_mutex_unlock(&s->lock);
    int e = start_thread(k);
    if (e < 0) {
        free(k);
        leave(s);
        return e;
    }
    s->running++;
    *ret_lookup = k;
    return 0;
}

void lookup_forget(struct lookup *k)
{
    k->fn = NULL;
}
