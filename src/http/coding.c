#include "coding.h"

#include <brotli/decode.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "err.h"
#include "mem.h"

enum {
    STAGES_MAX = 2,
    OUT_BYTES = 16 * 1024,
    RATIO_MAX = 100,
    ZSTD_WINDOW_LOG_MAX = 23, /* rfc9659,s3: 8 MiB */
};
#define RATIO_FREE_BYTES ((uint64_t)1024 * 1024)

enum coding_kind { CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD };

/*
 * START → BODY [first byte; deflate: second byte, which tells zlib from raw]
 * BODY → END [decoder says so]
 * END → BODY [another gzip member or zstd frame]
 */
enum stage_state { STAGE_START, STAGE_BODY, STAGE_END };

struct stage {
    enum coding_kind kind;
    enum stage_state state;
    bool started; /* a byte has come */
    unsigned char first_byte;
    size_t magic_n;    /* zstd: bytes of the frame's magic number that have come */
    bool is_skippable; /* zstd: the frame is one to skip */
    uint64_t out_bytes;
    union {
        z_stream z;
        BrotliDecoderState *br;
        ZSTD_DStream *zstd;
    };
    unsigned char out[OUT_BYTES];
};

struct coding {
    struct stage *stages[STAGES_MAX]; /* in the order of undoing */
    size_t n_stages;
    uint64_t coded_bytes, limit_bytes;
    int err;
    coding_on_bytes *on_bytes;
    void *ctx;
};

static const struct {
    struct str name;
    enum coding_kind kind;
} coding_names[] = {
    { S_INIT("gzip"), CODING_GZIP }, { S_INIT("x-gzip"), CODING_GZIP },
    { S_INIT("br"), CODING_BR },     { S_INIT("deflate"), CODING_DEFLATE },
    { S_INIT("zstd"), CODING_ZSTD },
};

static int feed_from(struct coding *c, size_t stage, struct str bytes);

bool coding_is_identity(struct str name)
{
    name = str_trim(name);
    return name.n == 0 || str_eq_nocase(name, S("identity"));
}

static int kind_of(struct str name, enum coding_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(coding_names); i++) {
        if (str_eq_nocase(name, coding_names[i].name)) {
            *ret_kind = coding_names[i].kind;
            return 0;
        }
    }
    return E_UNKNOWN_CODING;
}

/* deflate starts at its second byte: z.state is NULL until then. */
static struct stage *stage_new(enum coding_kind kind)
{
    struct stage *s = mem_new(struct stage);
    s->kind = kind;
    switch (kind) {
    case CODING_GZIP:
        must(inflateInit2(&s->z, 15 + 16) == Z_OK);
        break;
    case CODING_DEFLATE:
        break;
    case CODING_BR:
        s->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        must(s->br != NULL);
        break;
    case CODING_ZSTD:
        s->zstd = ZSTD_createDStream();
        must(s->zstd != NULL);
        must(!ZSTD_isError(
            ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)));
        break;
    }
    return s;
}

static void stage_free(struct stage *s)
{
    if (s == NULL)
        return;
    switch (s->kind) {
    case CODING_GZIP:
    case CODING_DEFLATE:
        inflateEnd(&s->z); /* harmless on a zeroed one */
        break;
    case CODING_BR:
        BrotliDecoderDestroyInstance(s->br);
        break;
    case CODING_ZSTD:
        ZSTD_freeDStream(s->zstd);
        break;
    }
    free(s);
}

int coding_new(struct str names, size_t limit_bytes, coding_on_bytes *on_bytes, void *ctx,
               struct coding **ret_coding)
{
    enum coding_kind kinds[STAGES_MAX];
    size_t n = 0;
    struct str name;
    while (str_next(&names, ',', &name)) {
        if (coding_is_identity(name))
            continue;
        if (n == STAGES_MAX || kind_of(str_trim(name), &kinds[n]) < 0)
            return E_UNKNOWN_CODING;
        n++;
    }
    struct coding *c = mem_new(struct coding);
    c->limit_bytes = limit_bytes;
    c->on_bytes = on_bytes;
    c->ctx = ctx;
    while (n > 0)
        c->stages[c->n_stages++] = stage_new(kinds[--n]);
    *ret_coding = c;
    return 0;
}

void coding_free(struct coding *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_stages; i++)
        stage_free(c->stages[i]);
    free(c);
}

static int within_limits(const struct coding *c, uint64_t out_bytes)
{
    if (out_bytes > c->limit_bytes)
        return E_TOO_LARGE;
    if (out_bytes > RATIO_FREE_BYTES + RATIO_MAX * c->coded_bytes)
        return E_TOO_LARGE;
    return 0;
}

/* One call of the decoder: takes bytes off *in and fills s->out from its beginning. */
static int inflate_some(struct stage *s, struct str *in, size_t *ret_out)
{
    uInt in_n = in->n < UINT32_MAX / 2 ? (uInt)in->n : UINT32_MAX / 2;
    s->z.next_in = (z_const Bytef *)(uintptr_t)in->p; /* zlib does not write there */
    s->z.avail_in = in_n;
    s->z.next_out = s->out;
    s->z.avail_out = OUT_BYTES;
    int z = inflate(&s->z, Z_SYNC_FLUSH);
    if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
        return E_BAD_CODING;
    *in = str_slice(*in, in_n - s->z.avail_in, in->n);
    if (z == Z_STREAM_END)
        s->state = STAGE_END;
    *ret_out = OUT_BYTES - s->z.avail_out;
    return 0;
}

static int brotli_some(struct stage *s, struct str *in, size_t *ret_out)
{
    size_t avail_in = in->n, avail_out = OUT_BYTES;
    const uint8_t *next_in = (const uint8_t *)in->p;
    uint8_t *next_out = s->out;
    BrotliDecoderResult r =
        BrotliDecoderDecompressStream(s->br, &avail_in, &next_in, &avail_out, &next_out, NULL);
    if (r == BROTLI_DECODER_RESULT_ERROR)
        return E_BAD_CODING;
    *in = str_slice(*in, in->n - avail_in, in->n);
    if (r == BROTLI_DECODER_RESULT_SUCCESS)
        s->state = STAGE_END;
    *ret_out = OUT_BYTES - avail_out;
    return 0;
}

/* rfc8878,s3.1: the library also reads the formats from before the RFC, each with rules of
 * its own; nobody sends those, so a frame must begin as the RFC says. */
static bool zstd_begins_right(struct stage *s, struct str in)
{
    static const unsigned char frame[] = { 0x28, 0xb5, 0x2f, 0xfd };
    static const unsigned char skippable[] = { 0x50, 0x2a, 0x4d, 0x18 };
    for (size_t i = 0; i < in.n && s->magic_n < sizeof(frame); i++, s->magic_n++) {
        unsigned char c = (unsigned char)in.p[i];
        if (s->magic_n == 0)
            s->is_skippable = (c & 0xf0) == skippable[0];
        if (s->is_skippable && s->magic_n == 0)
            continue;
        if (c != (s->is_skippable ? skippable : frame)[s->magic_n])
            return false;
    }
    return true;
}

static int zstd_some(struct stage *s, struct str *in, size_t *ret_out)
{
    if (!zstd_begins_right(s, *in))
        return E_BAD_CODING;
    ZSTD_inBuffer zin = { in->p, in->n, 0 };
    ZSTD_outBuffer zout = { s->out, OUT_BYTES, 0 };
    size_t r = ZSTD_decompressStream(s->zstd, &zout, &zin);
    if (ZSTD_isError(r))
        return E_BAD_CODING;
    *in = str_slice(*in, zin.pos, in->n);
    s->state = r == 0 ? STAGE_END : STAGE_BODY;
    *ret_out = zout.pos;
    return 0;
}

/* Bytes after the end of a coded text: only gzip and zstd may go on. */
static int restart(struct stage *s)
{
    if (s->kind == CODING_DEFLATE || s->kind == CODING_BR)
        return E_BAD_CODING;
    if (s->kind == CODING_GZIP)
        must(inflateReset(&s->z) == Z_OK);
    s->magic_n = 0;
    s->state = STAGE_BODY; /* zstd restarts by itself */
    return 0;
}

/* rfc9110,s8.4.1.2: "deflate" is zlib, but some send it raw.  rfc1950,s2.2 tells them apart;
 * a raw stream that looks like zlib would begin with a stored block with non-zero padding. */
static void start_deflate(struct stage *s, unsigned char second)
{
    unsigned char first = s->first_byte;
    bool zlib = (first & 0x0f) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0;
    must(inflateInit2(&s->z, zlib ? 15 : -15) == Z_OK);
}

static int decode_some(struct stage *s, struct str *in, size_t *ret_out)
{
    switch (s->kind) {
    case CODING_BR:
        return brotli_some(s, in, ret_out);
    case CODING_ZSTD:
        return zstd_some(s, in, ret_out);
    case CODING_GZIP:
    case CODING_DEFLATE:
        break;
    }
    return inflate_some(s, in, ret_out);
}

static int stage_run(struct coding *c, size_t index, struct str in)
{
    struct stage *s = c->stages[index];
    size_t out_n = 0;
    /* a full output means that the decoder may hold more */
    while (in.n > 0 || (out_n == OUT_BYTES && s->state == STAGE_BODY)) {
        int e = s->state == STAGE_END ? restart(s) : 0;
        if (e == 0)
            e = decode_some(s, &in, &out_n);
        if (e < 0)
            return e;
        s->out_bytes += out_n;
        e = within_limits(c, s->out_bytes);
        if (e == 0 && out_n > 0)
            e = feed_from(c, index + 1, (struct str){ (const char *)s->out, out_n });
        if (e < 0)
            return e;
    }
    return 0;
}

static int stage_feed(struct coding *c, size_t index, struct str in)
{
    struct stage *s = c->stages[index];
    if (s->state == STAGE_START && s->kind == CODING_DEFLATE) {
        if (!s->started) {
            s->started = true;
            s->first_byte = (unsigned char)in.p[0];
            in = str_slice(in, 1, in.n);
        }
        if (in.n == 0)
            return 0;
        start_deflate(s, (unsigned char)in.p[0]);
        s->state = STAGE_BODY;
        int e = stage_run(c, index, (struct str){ (const char *)&s->first_byte, 1 });
        if (e < 0)
            return e;
    }
    if (s->state == STAGE_START)
        s->state = STAGE_BODY;
    return stage_run(c, index, in);
}

static int feed_from(struct coding *c, size_t stage, struct str bytes)
{
    if (stage < c->n_stages)
        return stage_feed(c, stage, bytes);
    int e = c->on_bytes(c->ctx, bytes);
    return e < 0 ? e : 0;
}

int coding_feed(struct coding *c, struct str bytes)
{
    if (c->err != 0 || bytes.n == 0)
        return c->err;
    c->coded_bytes += bytes.n;
    if (c->n_stages == 0)
        c->err = within_limits(c, c->coded_bytes);
    if (c->err == 0)
        c->err = feed_from(c, 0, bytes);
    return c->err;
}

int coding_end(struct coding *c)
{
    for (size_t i = 0; i < c->n_stages && c->err == 0; i++) {
        const struct stage *s = c->stages[i];
        bool empty = s->state == STAGE_START && !s->started;
        if (s->state != STAGE_END && !empty)
            c->err = E_BAD_CODING;
    }
    return c->err;
}

static int add_to_buf(void *ctx, struct str bytes)
{
    struct buf *out = ctx;
    buf_add(out, bytes);
    return out->overflow ? E_TOO_LARGE : 0;
}

int coding_decode(struct str names, struct str bytes, size_t limit_bytes, struct buf *out)
{
    struct coding *c;
    int e = coding_new(names, limit_bytes, add_to_buf, out, &c);
    if (e < 0)
        return e;
    e = coding_feed(c, bytes);
    if (e == 0)
        e = coding_end(c);
    coding_free(c);
    return e;
}
