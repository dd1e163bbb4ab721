/*
 * The .env parser: names are clean, values lie inside the input and are free of
 * NUL, lines rise, the input is used up, and a value survives being written
 * quoted and read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config_dotenv.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct str value)
{
    struct buf text;
    buf_init(&text, 16 << 20);
    buf_add(&text, S("A=\""));
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_add_byte(&text, '\\');
        if (value.p[i] == '\n')
            buf_add(&text, S("\\n"));
        else
            buf_add_byte(&text, value.p[i]);
    }
    buf_add(&text, S("\"\n"));

    struct dotenv d;
    struct dotenv_pair pair;
    size_t n = buf_len(&text);
    char *p = buf_take(&text, &n);
    dotenv_init(&d, p, n);
    int e = dotenv_next(&d, &pair);
    if (n <= DOTENV_LINE_MAX) {
        must(e == 1);
        must(str_eq(pair.value, value));
        must(dotenv_next(&d, &pair) == 0);
    }
    free(p);
}

static void check_pair(const struct dotenv_pair *pair, const char *p, size_t n)
{
    static const char clean[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    must(pair->name.n > 0);
    for (size_t i = 0; i < pair->name.n; i++)
        must(memchr(clean, pair->name.p[i], sizeof(clean) - 1) != NULL);
    must(pair->value.p >= p);
    must(pair->value.p + pair->value.n <= p + n);
    must(pair->value.n == 0 || memchr(pair->value.p, '\0', pair->value.n) == NULL);
    check_round_trip(pair->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *p = mem_alloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(p, data, size);
    struct dotenv d;
    struct dotenv_pair pair;
    int e, line = 0;
    dotenv_init(&d, p, size);
    while ((e = dotenv_next(&d, &pair)) == 1) {
        must(pair.line > line);
        line = pair.line;
        check_pair(&pair, p, size);
    }
    must(e < 0 ? d.why != NULL && d.line >= line : d.at == size);
    must(dotenv_next(&d, &pair) == e); /* both ends are final */
    free(p);
    return 0;
}
