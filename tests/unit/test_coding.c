/*
 * Goal: every coding decodes to the same bytes wherever the input is cut; cut, broken and
 * exploding inputs are refused.
 */
#include "unit.h"

#include "coding.c"

static const struct str text =
    S_INIT("{\"model\":\"m\",\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}");

/* "hello hello hello hello\n" by brotli -q 5, which this project does not link an encoder for. */
static const char br_hello[] = "\x1b\x17\x00\x00\xa4\x14\x40\x72\x10\x45\x94\xa9\xc3\x73\xfa\x0b";

/* window_bits as deflateInit2() takes them: 15 zlib, -15 raw, 31 gzip */
static struct str zlib_coded(struct str in, int window_bits, struct buf *out)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, (uLong)in.n);
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)buf_reserve(out, bound);
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_commit(out, bound - z.avail_out);
    deflateEnd(&z);
    return buf_str(out);
}

static struct str zstd_coded(struct str in, int window_log, struct buf *out)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    if (window_log > 0)
        ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, window_log);
    size_t bound = ZSTD_compressBound(in.n) + 100;
    ZSTD_inBuffer zin = { in.p, in.n, 0 };
    ZSTD_outBuffer zout = { buf_reserve(out, bound), bound, 0 };
    /* flush first, so that the size is not known and the window is as asked */
    assert_int_equal(ZSTD_compressStream2(z, &zout, &zin, ZSTD_e_flush), 0);
    assert_int_equal(ZSTD_compressStream2(z, &zout, &zin, ZSTD_e_end), 0);
    buf_commit(out, zout.pos);
    ZSTD_freeCCtx(z);
    return buf_str(out);
}

static int add(void *ctx, struct str bytes)
{
    buf_add(ctx, bytes);
    return 0;
}

static int decode_cut(struct str names, struct str in, size_t first, size_t step, struct buf *out)
{
    struct coding *c;
    buf_clear(out);
    int e = coding_new(names, 1 << 20, add, out, &c);
    if (e < 0)
        return e;
    e = coding_feed(c, str_slice(in, 0, first));
    for (size_t at = first; e == 0 && at < in.n; at += step)
        e = coding_feed(c, str_slice(in, at, at + step));
    if (e == 0)
        e = coding_end(c);
    assert_int_equal(coding_end(c), e); /* sticky */
    coding_free(c);
    return e;
}

/* Every cut gives `want`; every proper prefix is refused; every byte more is refused. */
static void check(struct str names, struct str in, struct str want)
{
    struct buf out, more;
    buf_init(&out, SIZE_MAX);
    buf_init(&more, SIZE_MAX);
    for (size_t first = 0; first <= in.n; first++) {
        assert_int_equal(decode_cut(names, in, first, 1, &out), 0);
        assert_str(buf_str(&out), want);
        assert_int_equal(decode_cut(names, in, first, in.n, &out), 0);
        assert_str(buf_str(&out), want);
        if (first > 0 && first < in.n)
            assert_int_equal(decode_cut(names, str_slice(in, 0, first), 1, 1, &out), E_BAD_CODING);
    }
    buf_add(&more, in);
    buf_add(&more, S("junk"));
    assert_int_equal(decode_cut(names, buf_str(&more), 0, in.n + 4, &out), E_BAD_CODING);
    buf_done(&more);
    buf_done(&out);
}

static void every_coding_at_every_cut(void **state)
{
    (void)state;
    struct buf coded;
    buf_init(&coded, SIZE_MAX);
    check(S("gzip"), zlib_coded(text, 31, &coded), text);
    check(S(" X-GZIP "), buf_str(&coded), text);
    buf_clear(&coded);
    check(S("deflate"), zlib_coded(text, 15, &coded), text);
    buf_clear(&coded);
    check(S("deflate"), zlib_coded(text, -15, &coded), text);
    buf_clear(&coded);
    check(S("zstd"), zstd_coded(text, 0, &coded), text);
    buf_done(&coded);
    check(S("br"), (struct str){ br_hello, sizeof(br_hello) - 1 }, S("hello hello hello hello\n"));
}

static void lists_are_undone_in_reverse(void **state)
{
    (void)state;
    struct buf inner, outer, out;
    buf_init(&inner, SIZE_MAX);
    buf_init(&outer, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    struct str in = zstd_coded(zlib_coded(text, 31, &inner), 0, &outer);
    check(S("gzip, identity ,zstd"), in, text);
    assert_int_equal(coding_decode(S("zstd, gzip"), in, 1000, &out), E_BAD_CODING);
    assert_int_equal(coding_decode(S("gzip,gzip,gzip"), in, 1000, &out), E_UNKNOWN_CODING);
    assert_int_equal(coding_decode(S("compress"), in, 1000, &out), E_UNKNOWN_CODING);
    buf_done(&inner);
    buf_done(&outer);
    buf_done(&out);
}

static void identity_passes_within_the_limit(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_true(coding_is_identity(S(" ")));
    assert_true(coding_is_identity(S("Identity")));
    assert_false(coding_is_identity(S("gzip")));
    assert_int_equal(coding_decode(S("identity"), S("12345"), 5, &out), 0);
    assert_str(buf_str(&out), S("12345"));
    assert_int_equal(coding_decode(S(""), S("12345"), 4, &out), E_TOO_LARGE);
    assert_int_equal(coding_decode(S("gzip"), S(""), 4, &out), 0); /* no byte at all */
    buf_done(&out);
}

/* Goal: members and frames in a row are one text. */
static void members_in_a_row(void **state)
{
    (void)state;
    struct buf gz, zs, out;
    buf_init(&gz, SIZE_MAX);
    buf_init(&zs, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    zlib_coded(S("one "), 31, &gz);
    zstd_coded(S("one "), 0, &zs);
    struct str gz2 = zlib_coded(S("two"), 31, &gz), zs2 = zstd_coded(S("two"), 0, &zs);
    for (size_t first = 0; first <= gz2.n; first++) {
        assert_int_equal(decode_cut(S("gzip"), gz2, first, gz2.n, &out), 0);
        assert_str(buf_str(&out), S("one two"));
    }
    for (size_t first = 0; first <= zs2.n; first++) {
        assert_int_equal(decode_cut(S("zstd"), zs2, first, zs2.n, &out), 0);
        assert_str(buf_str(&out), S("one two"));
    }
    buf_done(&gz);
    buf_done(&zs);
    buf_done(&out);
}

/* Goal: what a flush made known comes out without waiting for the end. */
static void flushed_bytes_come_at_once(void **state)
{
    (void)state;
    char coded[200];
    z_stream z = { .next_in = (Bytef *)(uintptr_t) "data: 1\n\n", .avail_in = 9 };
    z.next_out = (Bytef *)coded;
    z.avail_out = sizeof(coded);
    deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    struct coding *c;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(coding_new(S("gzip"), 1000, add, &out, &c), 0);
    assert_int_equal(coding_feed(c, (struct str){ coded, sizeof(coded) - z.avail_out }), 0);
    assert_str(buf_str(&out), S("data: 1\n\n"));
    deflateEnd(&z);
    coding_free(c);
    buf_done(&out);
}

/* Goal: bombs end at the ratio and at the limit; honest bodies of the same size do not. */
static void bombs_are_refused(void **state)
{
    (void)state;
    size_t n = 8 << 20;
    char *zeros = mem_zalloc(n);
    struct buf coded, twice, out;
    buf_init(&coded, SIZE_MAX);
    buf_init(&twice, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    struct str gz = zlib_coded((struct str){ zeros, n }, 31, &coded);
    assert_true(gz.n * 100 < n);
    assert_int_equal(coding_decode(S("gzip"), gz, SIZE_MAX, &out), E_TOO_LARGE);
    assert_true(buf_len(&out) <= RATIO_FREE_BYTES + RATIO_MAX * gz.n);
    buf_clear(&out);
    struct str gz_gz = zlib_coded(gz, 31, &twice);
    assert_int_equal(coding_decode(S("gzip,gzip"), gz_gz, SIZE_MAX, &out), E_TOO_LARGE);

    buf_clear(&coded);
    buf_clear(&out);
    gz = zlib_coded((struct str){ zeros, 1 << 20 }, 31, &coded); /* the first MiB is free */
    assert_int_equal(coding_decode(S("gzip"), gz, 1 << 20, &out), 0);
    assert_int_equal(buf_len(&out), 1 << 20);
    buf_clear(&out);
    assert_int_equal(coding_decode(S("gzip"), gz, (1 << 20) - 1, &out), E_TOO_LARGE);
    assert_true(buf_len(&out) < 1 << 20);
    free(zeros);
    buf_done(&coded);
    buf_done(&twice);
    buf_done(&out);
}

static void large_zstd_windows_are_refused(void **state)
{
    (void)state;
    struct buf coded, out;
    buf_init(&coded, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    zstd_coded(text, 23, &coded);
    assert_int_equal(coding_decode(S("zstd"), buf_str(&coded), 1000, &out), 0);
    buf_clear(&coded);
    zstd_coded(text, 24, &coded);
    assert_int_equal(coding_decode(S("zstd"), buf_str(&coded), 1000, &out), E_BAD_CODING);
    buf_done(&coded);
    buf_done(&out);
}

/* Goal: only frames of RFC 8878 are read, wherever the input is cut.  The library would
 * take the formats from before it too, and give other errors for other cuts. */
static void zstd_formats_from_before_the_rfc_are_refused(void **state)
{
    static const char old[] = "\x26\xb5\x2f\xfd\x00\xc1\x00\x7b";
    (void)state;
    for (size_t cut = 0; cut < sizeof(old); cut++) {
        struct coding *c;
        struct buf out;
        buf_init(&out, SIZE_MAX);
        assert_int_equal(coding_new(S("zstd"), 1000, add, &out, &c), 0);
        (void)!coding_feed(c, (struct str){ old, cut }); /* the error is sticky */
        (void)!coding_feed(c, (struct str){ old + cut, sizeof(old) - 1 - cut });
        assert_int_equal(coding_end(c), E_BAD_CODING);
        coding_free(c);
        buf_done(&out);
    }
}

static void zstd_frames_to_skip_are_skipped(void **state)
{
    static const char skip[] = "\x5a\x2a\x4d\x18\x02\x00\x00\x00xx";
    struct buf coded, frame, out;
    (void)state;
    buf_init(&coded, SIZE_MAX);
    buf_init(&frame, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    zstd_coded(text, 20, &frame);
    buf_add(&coded, (struct str){ skip, sizeof(skip) - 1 });
    buf_add(&coded, buf_str(&frame));
    buf_add(&coded, (struct str){ skip, sizeof(skip) - 1 });
    buf_add(&coded, buf_str(&frame));
    assert_int_equal(coding_decode(S("zstd"), buf_str(&coded), 10000, &out), 0);
    assert_int_equal(buf_len(&out), text.n * 2);
    buf_done(&coded);
    buf_done(&frame);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_at_every_cut),
        cmocka_unit_test(lists_are_undone_in_reverse),
        cmocka_unit_test(identity_passes_within_the_limit),
        cmocka_unit_test(members_in_a_row),
        cmocka_unit_test(flushed_bytes_come_at_once),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(large_zstd_windows_are_refused),
        cmocka_unit_test(zstd_formats_from_before_the_rfc_are_refused),
        cmocka_unit_test(zstd_frames_to_skip_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
