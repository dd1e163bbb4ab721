/*
 * timing.c - whether the time of a look at the clients' keys tells anything about them.
 *
 * Two kinds of keys are presented in random order; each look is timed, the slowest tenth is left
 * out (interrupts), and Welch's t says whether the kinds differ: beyond 4.5 they do (as in dudect,
 * Reparaz et al. 2017).  The last row is a comparison that stops at the first difference: a check
 * that the method would see one.  Usage: bench_timing [samples]; exit code 1 when a row fails.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "client_keys.h"
#include "mem.h"
#include "str.h"

enum { KINDS = 2, KEY_BYTES = 64 };

static const double t_limit = 4.5;

struct sample {
    double ns;
    int kind;
};

struct row {
    const char *name;
    bool (*look)(struct str key);
    const char *keys[KINDS];
    bool leaks; /* is meant to */
};

#define SECRET_KEY "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc"

static struct client_keys *listed;

static bool look_list(struct str key)
{
    return client_keys_has(listed, key);
}

static bool look_token(struct str key)
{
    return str_eq_secret(key, S(SECRET_KEY));
}

/* What it must not be. */
static bool look_leaky(struct str key)
{
    const char *want = SECRET_KEY;
    for (size_t i = 0; i < key.n; i++)
        if (((volatile const char *)key.p)[i] != want[i])
            return false;
    return true;
}

static const struct row rows[] = {
    { "listed keys: first or last byte wrong",
      look_list,
      { "Xk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc",
        "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abX" },
      false },
    { "listed keys: wrong or right",
      look_list,
      { "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abX", SECRET_KEY },
      false },
    { "listed keys: the first or the last of 50",
      look_list,
      { SECRET_KEY, "sk-zz23456789abcdef0123456789abcdef0123456789abcdef0123456789abc" },
      false },
    { "token: first or last byte wrong",
      look_token,
      { "Xk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc",
        "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abX" },
      false },
    { "token: wrong or right",
      look_token,
      { "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abX", SECRET_KEY },
      false },
    { "control: stops at the first difference",
      look_leaky,
      { "Xk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc",
        "sk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abX" },
      true },
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const struct row *row, struct sample *samples, size_t n)
{
    char key[KEY_BYTES]; /* one place for both kinds: where they lie makes a difference, too */
    uint64_t random = 88172645463325252;
    for (size_t i = 0; i < n; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int kind = (int)(random >> 40 & 1);
        memcpy(key, row->keys[kind], KEY_BYTES);
        double begin = now_ns();
        volatile bool found = row->look((struct str){ key, KEY_BYTES });
        (void)found;
        samples[i] = (struct sample){ now_ns() - begin, kind };
    }
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->ns, y = ((const struct sample *)b)->ns;
    return (x > y) - (x < y);
}

/* Welch's t of the fastest `kept` samples; ret_mean: of each kind. */
static double welch(const struct sample *samples, size_t kept, double ret_mean[KINDS])
{
    double n[KINDS] = { 0 }, mean[KINDS] = { 0 }, squares[KINDS] = { 0 };
    for (size_t i = 0; i < kept; i++) {
        int k = samples[i].kind;
        double off = samples[i].ns - mean[k];
        n[k]++;
        mean[k] += off / n[k];
        squares[k] += off * (samples[i].ns - mean[k]);
    }
    double variance = 0;
    for (int k = 0; k < KINDS; k++) {
        ret_mean[k] = mean[k];
        variance += squares[k] / (n[k] - 1) / n[k];
    }
    return variance > 0 ? (mean[0] - mean[1]) / sqrt(variance) : 0;
}

static bool run(const struct row *row, struct sample *samples, size_t n)
{
    double mean[KINDS];
    measure(row, samples, n / 10); /* caches and branches get warm */
    measure(row, samples, n);
    qsort(samples, n, sizeof(*samples), by_time);
    double t = welch(samples, n - n / 10, mean);
    bool good = (fabs(t) > t_limit) == row->leaks;
    printf("%-45s %8.1f ns %8.1f ns   t = %8.2f   %s\n", row->name, mean[0], mean[1], t,
           good ? row->leaks ? "seen, as it must be" : "no signal" : "WRONG");
    return good;
}

static struct client_keys *list_new(void)
{
    struct buf list CLEANUP(buf_done);
    buf_init(&list, 1 << 20);
    buf_add(&list, S(SECRET_KEY));
    for (int i = 0; i < 48; i++)
        buf_addf(&list, ",sk-other-%d", i);
    buf_add(&list, S(",sk-zz23456789abcdef0123456789abcdef0123456789abcdef0123456789abc"));
    return client_keys_new(buf_str(&list));
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct sample *samples = mem_alloc((n + 10) * sizeof(*samples));
    int failed = 0;
    listed = list_new();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        failed += !run(&rows[i], samples, n);
    client_keys_free(listed);
    free(samples);
    return failed > 0;
}
