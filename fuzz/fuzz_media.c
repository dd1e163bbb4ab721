/*
 * Goal: whatever a client writes for an image or a file, what goes on is well-formed, and the
 * bytes are those that came.
 * Method: OpenSSL's base64 is the model; a data URL that was written is read back.
 */
#include "media.c"

#include <openssl/evp.h>
#include <stdlib.h>

#include "err.h"

static struct convert convert;

int convert_reject(struct convert *c, struct str path, const char *fmt, ...)
{
    (void)c;
    (void)path;
    (void)fmt;
    return E_BAD_REQUEST;
}

static void check_payload(struct arena *a, struct str payload)
{
    must(payload.n % 4 == 0);
    struct str bytes = base64_decode(a, payload, payload.n);
    unsigned char *model = malloc(payload.n + 1);
    int n = EVP_DecodeBlock(model, (const unsigned char *)payload.p, (int)payload.n);
    must(payload.n == 0 || n >= 0);
    n = n < 0 ? 0 : n;
    n -= str_ends(payload, S("==")) ? 2 : str_ends(payload, S("=")) ? 1 : 0;
    must(str_eq(bytes, (struct str){ (char *)model, (size_t)n }));
    free(model);
    /* but for bits behind the end of the bytes */
    struct str again = base64_encode(a, bytes);
    must(again.n == payload.n);
    must(again.n == 0 ||
         str_eq(str_slice(again, 0, again.n - 4), str_slice(payload, 0, again.n - 4)));
}

static void check(struct arena *a, struct chat_media *m)
{
    struct chat_media again = { 0 }, image = *m;
    struct text t;
    check_payload(a, text_plain(a, m->payload));
    must(media_of_url(&convert, &again, media_data_url(a, m)) == 0);
    must(again.source == CHAT_MEDIA_BASE64);
    must(again.payload.n == m->payload.n);
    must(memcmp(again.payload.p, m->payload.p, m->payload.n) == 0);
    must(m->type.n == 0 || str_eq(again.type, m->type));
    if (media_check_image(&convert, &image) == 0)
        must(media_is_image(&image));
    if (media_plain(&convert, m, &t) == 0) {
        struct str bytes = base64_decode(a, text_plain(a, m->payload), m->payload.n);
        must(str_eq(text_plain(a, t), bytes));
    }
    (void)media_document_text(&convert, m);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    struct arena a;
    struct str name = S(""), rest = { (const char *)bytes, n };
    arena_init(&a, SIZE_MAX);
    convert.temp = &a;
    if (str_index(rest, '|') < rest.n)
        (void)str_next(&rest, '|', &name);
    struct text input = text_escape(&a, rest);
    struct chat_media url = { 0 }, file = { .name = text_escape(&a, name) };
    if (media_of_url(&convert, &url, input) == 0 && url.source == CHAT_MEDIA_BASE64)
        check(&a, &url);
    if (media_of_file_data(&convert, &file, input) == 0) {
        must(file.type.n > 0);
        check(&a, &file);
    }
    arena_done(&a);
    return 0;
}
