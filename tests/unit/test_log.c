/*
 * Goal: a line is what its format promises whatever bytes it carries, and the
 * writer thread keeps lines whole, in order, and counts each one it loses.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "log_line.h"

static void format_line(enum log_format format, const struct log_field *fields, size_t n,
                        struct buf *out)
{
    struct log_line line = { .level = LOG_WARNING,
                             .logger = "claude-service",
                             .event = "test_event",
                             .unix_ms = INT64_C(1700000001007),
                             .fields = fields,
                             .n = n };
    log_line_add(format, &line, out);
}

static void json_has_the_fixed_members_then_the_fields(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    const char *none = NULL;
    const struct log_field fields[] = {
        F("text", S("a\"b")),
        F("cstr", "x"),
        F("null", none),
        F("int", -5),
        F("big", UINT64_MAX),
        F("double", 12.5),
        F("nan", 0.0 / 0.0),
        F("bool", (bool)true),
        F("", 1),
        log_field_json("json", S("{\"a\":\r\n[1]}")),
        log_field_json("nothing", S("")),
    };
    format_line(LOG_JSON, fields, ARRAY_LEN(fields), &out);
    assert_str(buf_str(&out),
               S("{\"timestamp\":\"2023-11-14T22:13:21.007Z\",\"level\":\"warning\","
                 "\"event\":\"test_event\",\"logger\":\"claude-service\",\"app\":\"CC_CX_Proxy\","
                 "\"version\":\"" CCP_VERSION "\",\"text\":\"a\\\"b\",\"cstr\":\"x\",\"null\":\"\","
                 "\"int\":-5,\"big\":9223372036854775807,\"double\":12.5,\"nan\":null,"
                 "\"bool\":true,\"json\":{\"a\":  [1]},\"nothing\":null}\n"));
    buf_done(&out);
}

/* Goal: a byte that needs an escape gets it at every place of a text of every length, and nothing
 * else does. */
static void json_escapes_at_every_place(void **state)
{
    (void)state;
    char text[40], wanted[80];
    for (size_t n = 1; n <= sizeof(text); n++)
        for (size_t at = 0; at < n; at++) {
            struct buf out;
            buf_init(&out, 4096);
            memset(text, at % 2 == 0 ? '~' : ' ', sizeof(text));
            struct log_field f = F("t", ((struct str){ text, n }));
            format_line(LOG_JSON, &f, 1, &out);
            snprintf(wanted, sizeof(wanted), ",\"t\":\"%.*s\"}\n", (int)n, text);
            assert_true(str_ends(buf_str(&out), str_of(wanted)));
            buf_truncate(&out, 0);
            text[at] = at % 3 == 0 ? '"' : at % 3 == 1 ? '\x7f' : '\xff';
            format_line(LOG_JSON, &f, 1, &out);
            snprintf(wanted, sizeof(wanted), ",\"t\":\"%.*s%s%.*s\"}\n", (int)at, text,
                     at % 3 == 0   ? "\\\""
                     : at % 3 == 1 ? "\\u007f"
                                   : "\xEF\xBF\xBD",
                     (int)(n - at - 1), text + at + 1);
            assert_true(str_ends(buf_str(&out), str_of(wanted)));
            buf_done(&out);
        }
}

static void console_quotes_only_what_needs_it(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    const struct log_field fields[] = { F("status", 200),        F("model", "claude-x"),
                                        F("empty", ""),          F("words", "a b"),
                                        F("esc", S("\x1b[31m")), F("c1", S("\xC2\x9B")),
                                        F("eq", "a=b"),          F("name", S("\xC3\xA9")) };
    format_line(LOG_CONSOLE, fields, ARRAY_LEN(fields), &out);
    assert_str(
        buf_str(&out),
        S("22:13:21.007 WARN  test_event status=200 model=claude-x empty=\"\" "
          "words=\"a b\" esc=\"\\u001b[31m\" c1=\"\\u009b\" eq=\"a=b\" name=\"\xC3\xA9\"\n"));
    buf_done(&out);
}

#define FFFD "\xEF\xBF\xBD"

static void bad_bytes_become_replacements(void **state)
{
    (void)state;
    static const struct {
        struct str in, want;
    } cases[] = {
        { S_INIT("\0\x01\b\f\n\r\t\x1f\x7f\\/"),
          S_INIT("\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\\u007f\\\\/") },
        { S_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
          S_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") },
        { S_INIT("a\x80"
                 "b\xFF"),
          S_INIT("a" FFFD "b" FFFD) },
        { S_INIT("\xC0\xAF"), S_INIT(FFFD FFFD) },
        { S_INIT("\xE0\x80\x80"), S_INIT(FFFD FFFD FFFD) },
        { S_INIT("\xED\xA0\x80"), S_INIT(FFFD FFFD FFFD) },
        { S_INIT("\xF4\x90\x80\x80"), S_INIT(FFFD FFFD FFFD FFFD) },
        { S_INIT("\xE2\x82"), S_INIT(FFFD) },
        { S_INIT("\xE2\x82\""), S_INIT(FFFD "\\\"") },
        { S_INIT("\xF0\x9F\x98x"), S_INIT(FFFD "x") },
        { S_INIT("\xEF\xBF\xBF\xF4\x8F\xBF\xBF"), S_INIT("\xEF\xBF\xBF\xF4\x8F\xBF\xBF") },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        char *exact = mem_dup(cases[i].in.p, cases[i].in.n); /* the sanitizer guards its end */
        struct log_field f = F("v", ((struct str){ exact, cases[i].in.n }));
        format_line(LOG_JSON, &f, 1, &out);
        struct str got = buf_str(&out);
        size_t at = str_find(got, S(",\"v\":\""));
        assert_str(str_slice(got, at + 6, got.n - 3), cases[i].want);
        free(exact);
        buf_done(&out);
    }
}

/* Goal: what is to be escaped is found in texts of any length, wherever it stands. */
static void no_place_hides_a_byte(void **state)
{
    static const struct {
        char byte;
        struct str want;
    } cases[] = { { '"', S_INIT("\\\"") },
                  { '\\', S_INIT("\\\\") },
                  { '\n', S_INIT("\\n") },
                  { '\x7f', S_INIT("\\u007f") },
                  { '\x9f', S_INIT(FFFD) } };
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++)
        for (size_t n = 1; n <= 40; n++)
            for (size_t at = 0; at < n; at++) {
                char text[40];
                struct buf out, want;
                memset(text, '~', sizeof(text));
                buf_init(&out, 4096);
                buf_init(&want, 4096);
                buf_add(&want, (struct str){ text, at });
                buf_add(&want, cases[c].want);
                buf_add(&want, (struct str){ text, n - at - 1 });
                text[at] = cases[c].byte;
                struct log_field f = F("v", ((struct str){ text, n }));
                format_line(LOG_JSON, &f, 1, &out);
                struct str got = buf_str(&out);
                size_t from = str_find(got, S(",\"v\":\"")) + 6;
                assert_str(str_slice(got, from, got.n - 3), buf_str(&want));
                buf_done(&out);
                buf_done(&want);
            }
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_int_equal(log_level_of(S("error"), &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_of(S("Warn"), &level), 0);
    assert_int_equal(level, LOG_WARNING);
    assert_int_equal(log_level_of(S("loud"), &level), -EINVAL);
    assert_int_equal(level, LOG_WARNING);
}

static void start(int fd, size_t ring_bytes)
{
    struct log_settings settings = {
        .level = LOG_INFO, .format = LOG_JSON, .fd = fd, .ring_bytes = ring_bytes, .logger = "test"
    };
    log_init(&settings);
    log_start();
}

static void read_to_end(int fd, struct buf *out)
{
    for (;;) {
        char *p = buf_reserve(out, 65536);
        assert_non_null(p);
        ssize_t n = read(fd, p, 65536);
        assert_true(n >= 0);
        if (n == 0)
            return;
        buf_commit(out, (size_t)n);
    }
}

static uint64_t number_after(struct str line, struct str key)
{
    struct str rest = str_slice(line, str_find(line, key) + key.n, line.n);
    size_t n = 0;
    uint64_t value = 0;
    while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
        n++;
    assert_int_equal(str_to_u64(str_slice(rest, 0, n), &value), 0);
    return value;
}

/* What a reader of the log sees. */
struct seen {
    uint64_t lines, reports, reported, broken;
};

/* Each line is whole JSON of ours and the numbers of "line" events rise. */
static struct seen look(struct str text)
{
    struct seen seen = { 0 };
    struct str line;
    uint64_t last = 0;
    while (str_next(&text, '\n', &line)) {
        if (!str_starts(line, S("{\"timestamp\":\"")) || !str_ends(line, S("}"))) {
            seen.broken++;
        } else if (str_contains(line, S("\"event\":\"log_lines_dropped\""))) {
            seen.reports++;
            seen.reported += number_after(line, S(",\"count\":"));
        } else {
            uint64_t i = number_after(line, S(",\"i\":"));
            assert_true(i > last);
            last = i;
            seen.lines++;
        }
    }
    return seen;
}

static void put_lines(uint64_t from, uint64_t to)
{
    static char filler[6000];
    memset(filler, 'x', sizeof(filler));
    for (uint64_t i = from; i <= to; i++)
        log_write(LOG_INFO, "line", F("i", i), F("x", ((struct str){ filler, i * 37 % 6000 })));
}

/* Goal: the ring wraps and batches are cut without harm to a line. */
static void lines_arrive_whole_and_in_order(void **state)
{
    (void)state;
    char path[] = "/tmp/test_log_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    uint64_t before = log_dropped_lines();
    start(fd, 1 << 14);
    for (uint64_t i = 0; i < 3000; i += 2) {
        put_lines(i + 1, i + 2);
        usleep(20); /* lets the writer keep up most of the time */
    }
    log_write(LOG_DEBUG, "line", F("i", 0)); /* below the level: would break the order */
    log_stop();
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct buf text;
    buf_init(&text, 64 << 20);
    read_to_end(fd, &text);
    struct seen seen = look(buf_str(&text));
    assert_int_equal(seen.broken, 0);
    assert_int_equal(seen.lines + log_dropped_lines() - before, 3000);
    assert_int_equal(seen.reported, log_dropped_lines() - before);
    assert_true(seen.lines > 0);
    buf_done(&text);
    close(fd);
    unlink(path);
}

/* Goal: a reader that does not read costs lines, never time; the count of the
 * lost ones follows.  Method: a pipe nobody reads until all is said. */
static void full_ring(bool non_blocking)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    if (non_blocking)
        assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    uint64_t before = log_dropped_lines();
    start(fds[1], 1 << 12);
    put_lines(1, 2000); /* far more than pipe and ring hold; returns all the same */
    assert_true(log_dropped_lines() > before);

    struct buf text;
    buf_init(&text, 64 << 20);
    while (!str_contains(buf_str(&text), S("log_lines_dropped"))) {
        char *p = buf_reserve(&text, 65536);
        ssize_t n = read(fds[0], p, 65536);
        assert_true(n > 0);
        buf_commit(&text, (size_t)n);
    }
    log_stop();
    close(fds[1]);
    read_to_end(fds[0], &text);
    struct seen seen = look(buf_str(&text));
    assert_int_equal(seen.broken, 0);
    assert_int_equal(seen.lines + seen.reported, 2000);
    assert_int_equal(seen.reported, log_dropped_lines() - before);
    buf_done(&text);
    close(fds[0]);
}

static void a_full_ring_drops_and_reports(void **state)
{
    (void)state;
    full_ring(false);
    full_ring(true);
}

static void a_line_over_the_ring_is_reported_at_once(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    uint64_t before = log_dropped_lines();
    start(fds[1], 1 << 10);
    put_lines(100, 100); /* 3700 bytes */
    char text[4096];
    ssize_t n = read(fds[0], text, sizeof(text)); /* no other line pushes it out */
    assert_true(n > 0);
    struct seen seen = look((struct str){ text, (size_t)n });
    assert_int_equal(seen.reported, 1);
    assert_int_equal(log_dropped_lines() - before, 1);
    log_stop();
    close(fds[0]);
    close(fds[1]);
}

static void a_broken_pipe_is_counted(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    uint64_t before = log_dropped_lines();
    start(fds[1], 1 << 16);
    put_lines(1, 5);
    log_stop(); /* SIGPIPE would have ended the test */
    assert_int_equal(log_dropped_lines() - before, 5);
    close(fds[1]);
}

/* Goal: after a full disk the next line starts on a line of its own.
 * Method: a file size limit cuts a line in the middle, then is lifted. */
static void a_cut_line_does_not_spoil_the_next(void **state)
{
    (void)state;
    char path[] = "/tmp/test_log_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = { 5000, old.rlim_max };
    uint64_t before = log_dropped_lines();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    start(fd, 1 << 16);
    put_lines(50, 60);
    while (log_dropped_lines() == before)
        usleep(100);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    put_lines(61, 70);
    log_stop();
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct buf text;
    buf_init(&text, 1 << 20);
    read_to_end(fd, &text);
    struct seen seen = look(buf_str(&text));
    assert_int_equal(seen.broken, 1);
    assert_int_equal(seen.lines + seen.reported, 21);
    assert_int_equal(seen.reported, log_dropped_lines() - before);
    assert_true(str_contains(buf_str(&text), S("\n{\"timestamp\"")));
    buf_done(&text);
    close(fd);
    unlink(path);
}

/* Goal: what was logged before an abort() is in the log.  Method: the child says one line after
 * another for a while, so that it ends while the writer gathers, then aborts. */
static void an_abort_writes_what_is_queued(void **state)
{
    (void)state;
    char path[] = "/tmp/test_log_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        start(fd, 1 << 20);
        put_lines(1, 1);
        usleep(3000);
        put_lines(2, 20);
        abort();
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct buf text;
    buf_init(&text, 1 << 20);
    read_to_end(fd, &text);
    struct seen seen = look(buf_str(&text));
    assert_int_equal(seen.broken, 0);
    assert_int_equal(seen.lines, 20);
    buf_done(&text);
    close(fd);
    unlink(path);
}

/* Goal: a stuck reader does not keep the program from ending. */
static void stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    start(fds[1], 1 << 20);
    put_lines(1, 200);
    log_stop();
    struct buf text; /* the writer left behind finishes now */
    buf_init(&text, 64 << 20);
    while (look(buf_str(&text)).lines < 200 || !str_ends(buf_str(&text), S("\n"))) {
        char *p = buf_reserve(&text, 65536);
        ssize_t n = read(fds[0], p, 65536);
        assert_true(n > 0);
        buf_commit(&text, (size_t)n);
    }
    buf_done(&text);
    close(fds[0]);
    close(fds[1]);
}

static void without_a_thread_lines_are_written_at_once(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log_settings settings = {
        .level = LOG_INFO, .format = LOG_CONSOLE, .fd = fds[1], .ring_bytes = 1024, .logger = "test"
    };
    log_init(&settings);
    errno = 77;
    log_write(LOG_INFO, "hello", F("n", 1));
    assert_int_equal(errno, 77);
    char text[256];
    ssize_t n = read(fds[0], text, sizeof(text));
    assert_true(n > 12);
    assert_str(((struct str){ text + 12, (size_t)n - 12 }), S(" INFO  hello n=1\n"));
    log_stop();
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_the_fixed_members_then_the_fields),
        cmocka_unit_test(json_escapes_at_every_place),
        cmocka_unit_test(console_quotes_only_what_needs_it),
        cmocka_unit_test(bad_bytes_become_replacements),
        cmocka_unit_test(no_place_hides_a_byte),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(lines_arrive_whole_and_in_order),
        cmocka_unit_test(a_full_ring_drops_and_reports),
        cmocka_unit_test(a_line_over_the_ring_is_reported_at_once),
        cmocka_unit_test(a_broken_pipe_is_counted),
        cmocka_unit_test(a_cut_line_does_not_spoil_the_next),
        cmocka_unit_test(an_abort_writes_what_is_queued),
        cmocka_unit_test(stop_does_not_wait_for_ever),
        cmocka_unit_test(without_a_thread_lines_are_written_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
