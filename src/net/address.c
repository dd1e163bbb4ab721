#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "list.h"
#include "mem.h"

enum { BUCKETS = 1024 };

struct address_count {
    struct list link; /* in a bucket */
    struct address address;
    int n;
};

struct address_counts {
    uint64_t seed; /* nobody can aim at one bucket */
    struct list buckets[BUCKETS];
};

bool address_read(struct str remote, struct address *ret)
{
    static const unsigned char v4_prefix[12] = { [10] = 0xff, [11] = 0xff };
    char text[INET6_ADDRSTRLEN];
    size_t end = remote.n;
    while (end > 0 && remote.p[end - 1] != ':')
        end--;
    struct str host = str_slice(remote, 0, end > 0 ? end - 1 : 0);
    bool v6 = str_starts(host, S("["));
    if (v6)
        host = str_slice(host, 1, str_index(host, ']'));
    host = str_slice(host, 0, str_index(host, '%')); /* fe80::1%eth0 */
    if (host.n == 0 || host.n >= sizeof(text))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    memcpy(ret->bytes, v4_prefix, sizeof(v4_prefix));
    if (!v6)
        return inet_pton(AF_INET, text, ret->bytes + sizeof(v4_prefix)) == 1;
    struct address whole;
    if (inet_pton(AF_INET6, text, whole.bytes) != 1)
        return false;
    if (memcmp(whole.bytes, v4_prefix, sizeof(v4_prefix)) != 0)
        memset(whole.bytes + 8, 0, 8); /* its /64 */
    *ret = whole;
    return true;
}

uint64_t address_hash(const struct address *a, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < ADDRESS_BYTES; i++) {
        h = (h ^ a->bytes[i]) * UINT64_C(0x100000001b3);
        h ^= h >> 29;
    }
    return h;
}

struct address_counts *address_counts_new(void)
{
    struct address_counts *t = mem_new(struct address_counts);
    hash_random(&t->seed, sizeof(t->seed));
    for (int i = 0; i < BUCKETS; i++)
        list_init(&t->buckets[i]);
    return t;
}

void address_counts_free(struct address_counts *t)
{
    free(t);
}

struct address_count *address_counts_take(struct address_counts *t, const struct address *a,
                                          int max)
{
    must(max > 0);
    struct list *bucket = &t->buckets[address_hash(a, t->seed) % BUCKETS];
    list_each (it, tmp, bucket) {
        struct address_count *row = list_entry(it, struct address_count, link);
        if (memcmp(&row->address, a, sizeof(*a)) != 0)
            continue;
        if (row->n >= max)
            return NULL;
        row->n++;
        return row;
    }
    struct address_count *row = mem_new(struct address_count);
    row->address = *a;
    row->n = 1;
    list_append(bucket, &row->link);
    return row;
}

void address_counts_give(struct address_count *row)
{
    if (row == NULL || --row->n > 0)
        return;
    list_remove(&row->link);
    free(row);
}
