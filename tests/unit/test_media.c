/*
 * Goal: images and files arrive as each upstream takes them, and no content is lost on the way
 * (C1.3 of protocols.md).
 */
#include "media.c"

#include "unit.h"

#include "chat_fixture.h"
#include "err.h"

#define PNG "iVBORw0KGgo=" /* the first 8 bytes of one */

static struct text to_text(const char *s)
{
    return text_escape(&work, str_of(s));
}

static struct str plain(struct text t)
{
    return text_plain(&work, t);
}

/* E137, E138, and every spelling of a data URL that was seen. */
static void test_data_url(void **state)
{
    (void)state;
    static const struct {
        const char *url, *type, *payload; /* type NULL: 400 */
    } rows[] = {
        { "data:image/jpg;base64,", "image/jpeg", "" },
        { "data:image/png;base64," PNG, "image/png", PNG },
        { "DATA:Image/PNG;BASE64," PNG, "image/png", PNG },
        { "data:image/png;charset=utf-8;base64,iVBO\nRw0K \tGgo=", "image/png", PNG },
        { "data:image/png;base64,iVBORw0KGgo", "image/png", PNG },
        { "data:image/png;base64,-_-_", "image/png", "+/+/" },
        { "data:image/png;base64,QQ%3D%3D", "image/png", "QQ==" },
        { "data:;base64," PNG, "image/png", PNG },
        { "data:base64," PNG, NULL, NULL },
        { "data:,A%20b%2", "", "QSBiJTI=" },
        { "data:text/plain,", "text/plain", "" },
        { "data:image/png;base64,QQ==QQ==", NULL, NULL },
        { "data:image/png;base64,Q", NULL, NULL },
        { "data:image/png;base64,Q!==", NULL, NULL },
        { "data:image/png;base64", NULL, NULL },
        { "data:image/\"png;base64,QQ==", NULL, NULL },
        { "data:a/b/c;base64,QQ==", NULL, NULL },
        { "data:/;base64,QQ==", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_media m = { .source = CHAT_MEDIA_FILE_ID, .path = S("messages.0.content.1") };
        int r = media_of_url(&conv, &m, to_text(rows[i].url));
        if (rows[i].type == NULL) {
            assert_int_equal(r, E_BAD_REQUEST);
            assert_str(buf_str(&conv.error_param), m.path);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(m.source, CHAT_MEDIA_BASE64);
        assert_str(m.type, str_of(rows[i].type));
        assert_str(plain(m.payload), str_of(rows[i].payload));
    }
}

/* A payload that is in order is not copied, even behind an escaped slash. */
static void test_no_copy(void **state)
{
    (void)state;
    struct chat_media m = { 0 };
    struct text url = TEXT("data:image/png;base64," PNG);
    assert_int_equal(media_of_url(&conv, &m, url), 0);
    assert_ptr_equal(m.payload.p, url.p + url.n - strlen(PNG));
    assert_int_equal(media_of_url(&conv, &m, TEXT("data:image\\/png;base64,AA\\/A")), 0);
    assert_str(plain(m.payload), S("AA/A"));
    assert_str(m.type, S("image/png"));
}

/* Other URLs stay what they are. */
static void test_url(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "https://x.test/a.PNG?b=c.pdf", "image/png" },
        { "http://x.test/a.pdf#p.txt", "application/pdf" },
        { "https://x.test/download", "" },
        { "https://x.test", "" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_media m = { .type = S("x/y") };
        assert_int_equal(media_of_url(&conv, &m, to_text(rows[i][0])), 0);
        assert_int_equal(m.source, CHAT_MEDIA_URL);
        assert_str(plain(m.payload), str_of(rows[i][0]));
        assert_str(m.type, str_of(rows[i][1]));
    }
}

/* The type of a file: what is said, its name, its first bytes, PDF. */
static void test_file_data(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "data:text/csv;base64,QQ==", "a.pdf", "text/csv" },
        { "data:;base64,QQ==", "a.csv", "text/csv" },
        { "data:application/octet-stream;base64,QQ==", "main.rs", "text/plain" },
        { "data:application/octet-stream;base64,QQ==", "x.bin", "application/octet-stream" },
        { "QQ==", "a.md", "text/markdown" },
        { "QQ", "a.JPG", "image/jpeg" },
        { "JVBERi0xLjQK", "", "application/pdf" },
        { PNG, "noext", "image/png" },
        { "QQ==", "", "application/pdf" },
        { "Q Q\n==", "dir.txt/file", "application/pdf" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_media m = { .name = to_text(rows[i][1]) };
        assert_int_equal(media_of_file_data(&conv, &m, to_text(rows[i][0])), 0);
        assert_int_equal(m.source, CHAT_MEDIA_BASE64);
        assert_str(m.type, str_of(rows[i][2]));
    }
    struct chat_media m = { .path = S("input.0") };
    assert_int_equal(media_of_file_data(&conv, &m, TEXT("no base64!")), E_BAD_REQUEST);
    assert_str(buf_str(&conv.error_param), S("input.0"));
}

/* E137: Messages looks at the bytes, so they decide. */
static void test_check_image(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "image/jpeg", PNG, "image/png" },
        { "", "/9j/4AAQ", "image/jpeg" },
        { "image/png", "R0lGODlhAQAB", "image/gif" },
        { "image/png", "UklGRgAAAABXRUJQVlA4", "image/webp" },
        { "image/jpg", "QQ==", "image/jpeg" }, /* unknown bytes: the upstream decides */
        { "image/jpeg", "", "image/jpeg" },
        { "image/bmp", "Qk0AAAAA", NULL },
        { "", "QQ==", NULL },
        { "image/png", "JVBERi0xLjQK", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_media m = { .source = CHAT_MEDIA_BASE64,
                                .type = str_of(rows[i][0]),
                                .payload = to_text(rows[i][1]),
                                .path = S("input.2") };
        int r = media_check_image(&conv, &m);
        assert_int_equal(r, rows[i][2] == NULL ? E_BAD_REQUEST : 0);
        if (r == 0)
            assert_str(m.type, str_of(rows[i][2]));
        else
            assert_str(buf_str(&conv.error_param), S("input.2"));
    }
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool image, pdf, textual;
    } rows[] = {
        { "image/png", true, false, false },        { "image/svg+xml", true, false, false },
        { "application/pdf", false, true, false },  { "text/x-python", false, false, true },
        { "application/json", false, false, true }, { "application/ld+json", false, false, true },
        { "application/zip", false, false, false }, { "", false, false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_media m = { .type = str_of(rows[i].type) };
        assert_int_equal(media_is_image(&m), rows[i].image);
        assert_int_equal(media_is_pdf(&m), rows[i].pdf);
        assert_int_equal(media_is_textual(&m), rows[i].textual);
    }
}

/* Text files become text, if they are UTF-8. */
static void test_plain(void **state)
{
    (void)state;
    struct text t = TEXT("before");
    struct chat_media m = { .source = CHAT_MEDIA_BASE64, .path = S("p") };
    m.payload = to_text("w6kiCgA="); /* e acute, quote, LF, NUL */
    assert_int_equal(media_plain(&conv, &m, &t), 0);
    assert_str(plain(t), S("\xc3\xa9\"\n\0"));
    m.payload = to_text("wyh4");
    assert_int_equal(media_plain(&conv, &m, &t), E_BAD_REQUEST);
    m.payload = to_text("7aCA"); /* a surrogate */
    assert_int_equal(media_plain(&conv, &m, &t), E_BAD_REQUEST);
    m.payload = to_text("77+9"); /* U+FFFD itself */
    assert_int_equal(media_plain(&conv, &m, &t), 0);
    m = (struct chat_media){ .source = CHAT_MEDIA_PLAIN, .payload = TEXT("a\\nb") };
    assert_int_equal(media_plain(&conv, &m, &t), 0);
    assert_str(plain(t), S("a\nb"));
}

/* A document as text: title, context, text, a line each. */
static void test_document_text(void **state)
{
    (void)state;
    struct chat_media m = { .source = CHAT_MEDIA_PLAIN, .payload = TEXT("body") };
    assert_str(plain(media_document_text(&conv, &m)), S("body"));
    m.name = TEXT("T");
    m.context = TEXT("C");
    assert_str(plain(media_document_text(&conv, &m)), S("T\nC\nbody"));
    m = (struct chat_media){ .source = CHAT_MEDIA_BASE64, .payload = TEXT("Ym9keQ==") };
    assert_str(plain(media_document_text(&conv, &m)), S("body"));
}

/* What is written is what can be read. */
static void test_write_data_url(void **state)
{
    (void)state;
    struct chat_media m = { .source = CHAT_MEDIA_BASE64,
                            .type = S("image/png"),
                            .payload = TEXT(PNG) };
    assert_str(plain(media_data_url(&work, &m)), S("data:image/png;base64," PNG));
    m.type = S("");
    assert_str(plain(media_data_url(&work, &m)), S("data:application/octet-stream;base64," PNG));
    m = (struct chat_media){ .source = CHAT_MEDIA_PLAIN, .payload = TEXT("bo\\ndy") };
    assert_str(plain(media_data_url(&work, &m)), S("data:text/plain;base64,Ym8KZHk="));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, conv_setup, conv_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_data_url),  TEST(test_no_copy),       TEST(test_url),
        TEST(test_file_data), TEST(test_check_image),   TEST(test_kinds),
        TEST(test_plain),     TEST(test_document_text), TEST(test_write_data_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
