#include "rule_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "err.h"
#include "json.h"

enum { JSON_TEXT_MAX = 8 * RULE_FILE_MAX };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* O_NONBLOCK: a FIFO by mistake must not hang the start. */
static int open_regular(const char *path, int *ret_fd)
{
    struct stat st;
    int fd CLEANUP(close_fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int read_all(int fd, struct buf *out)
{
    for (;;) {
        char *room = buf_reserve(out, 4096);
        if (room == NULL)
            return -EFBIG;
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return buf_len(out) > RULE_FILE_MAX ? -EFBIG : 0;
        buf_commit(out, (size_t)n);
    }
}

int rule_file_read(struct arena *a, struct str path, struct str *ret_text, struct buf *ret_error)
{
    int fd CLEANUP(close_fd) = -1;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, RULE_FILE_MAX + 8192);
    text.wiped = true; /* it may be a key */

    int e = path.n > 4096 || memchr(path.p, 0, path.n) != NULL ? -ENAMETOOLONG : 0;
    if (e == 0)
        e = open_regular(arena_cstr(a, path), &fd);
    if (e == 0)
        e = read_all(fd, &text);
    if (e < 0) {
        buf_addf(ret_error, STR_FMT ": %s", STR_ARG(str_slice(path, 0, 256)), strerror(-e));
        return e;
    }
    *ret_text = arena_str(a, buf_str(&text));
    return 0;
}

/* One open container of the YAML text. */
struct yaml_level {
    bool mapping;
    bool value_next; /* in a mapping: the key was written */
    bool started;    /* has an entry already */
};

struct yaml_reader {
    yaml_parser_t parser;
    struct buf out;
    struct yaml_level level[RULE_YAML_DEPTH_MAX];
    size_t depth;
    size_t documents;
    const char *problem;
    size_t line; /* of the event at hand, from 0 */
};

/* A JSON number: -? int frac? exp?.  Other spellings (0x10, 1_000, .5) are text. */
static bool is_number(struct str s)
{
    size_t i = 0, digits;
    if (i < s.n && s.p[i] == '-')
        i++;
    size_t first = i;
    for (digits = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        digits++;
    if (digits == 0 || (digits > 1 && s.p[first] == '0'))
        return false;
    if (i < s.n && s.p[i] == '.') {
        for (digits = 0, i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            digits++;
        if (digits == 0)
            return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        for (digits = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            digits++;
        if (digits == 0)
            return false;
    }
    return i == s.n;
}

static void write_plain(struct buf *out, struct str s)
{
    if (s.n == 0 || str_eq(s, S("~")))
        buf_add(out, S("null"));
    else if (str_eq(s, S("null")) || str_eq(s, S("true")) || str_eq(s, S("false")) || is_number(s))
        buf_add(out, s);
    else
        json_write_str(out, s);
}

/* What stands before an entry: a comma or, after a key, nothing. */
static bool begin_entry(struct yaml_reader *y)
{
    struct yaml_level *l = y->depth > 0 ? &y->level[y->depth - 1] : NULL;
    bool key = l != NULL && l->mapping && !l->value_next;
    if (l == NULL)
        return false;
    if (l->started && (key || !l->mapping))
        buf_add_byte(&y->out, ',');
    l->started = true;
    l->value_next = key;
    return key;
}

static void take_scalar(struct yaml_reader *y, const yaml_event_t *ev)
{
    struct str s = { (const char *)ev->data.scalar.value, ev->data.scalar.length };
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool key = begin_entry(y);
    if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
        y->problem = "anchors and tags are not supported";
    if (plain && !key)
        write_plain(&y->out, s);
    else
        json_write_str(&y->out, s);
    if (key)
        buf_add_byte(&y->out, ':');
}

static void take_start(struct yaml_reader *y, bool mapping, bool decorated)
{
    if (decorated)
        y->problem = "anchors and tags are not supported";
    else if (begin_entry(y))
        y->problem = "a key must be a scalar";
    else if (y->depth == RULE_YAML_DEPTH_MAX)
        y->problem = "nested too deeply";
    else
        y->level[y->depth++] = (struct yaml_level){ .mapping = mapping };
    buf_add_byte(&y->out, mapping ? '{' : '[');
}

static void take_end(struct yaml_reader *y, char c)
{
    must(y->depth > 0);
    y->depth--;
    buf_add_byte(&y->out, c);
}

static void take_event(struct yaml_reader *y, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++y->documents > 1)
            y->problem = "only one document is allowed";
        break;
    case YAML_ALIAS_EVENT:
        y->problem = "aliases are not supported";
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(y, ev);
        break;
    case YAML_SEQUENCE_START_EVENT:
        take_start(y, false,
                   ev->data.sequence_start.anchor != NULL || ev->data.sequence_start.tag != NULL);
        break;
    case YAML_MAPPING_START_EVENT:
        take_start(y, true,
                   ev->data.mapping_start.anchor != NULL || ev->data.mapping_start.tag != NULL);
        break;
    case YAML_SEQUENCE_END_EVENT:
        take_end(y, ']');
        break;
    case YAML_MAPPING_END_EVENT:
        take_end(y, '}');
        break;
    default:
        break; /* stream start and end, document end */
    }
}

static int yaml_to_json(struct yaml_reader *y, struct str text, struct buf *ret_error)
{
    bool end = false;
    yaml_parser_set_input_string(&y->parser, (const unsigned char *)text.p, text.n);
    while (!end && y->problem == NULL) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&y->parser, &ev)) {
            y->problem = y->parser.problem != NULL ? y->parser.problem : "not valid YAML";
            y->line = y->parser.problem_mark.line;
            break;
        }
        end = ev.type == YAML_STREAM_END_EVENT;
        y->line = ev.start_mark.line;
        take_event(y, &ev);
        yaml_event_delete(&ev);
    }
    if (y->problem == NULL && y->documents == 0)
        y->problem = "the file is empty";
    if (y->problem == NULL && y->out.overflow)
        y->problem = "the file is too large";
    if (y->problem == NULL)
        return 0;
    buf_addf(ret_error, "line %zu: %s", y->line + 1, y->problem);
    return -EINVAL;
}

static int from_yaml(struct arena *a, struct str text, struct str *ret_json, struct buf *ret_error)
{
    struct yaml_reader y = { .depth = 0 };
    must(yaml_parser_initialize(&y.parser));
    buf_init(&y.out, JSON_TEXT_MAX);
    int e = yaml_to_json(&y, text, ret_error);
    if (e == 0)
        *ret_json = arena_str(a, buf_str(&y.out));
    buf_done(&y.out);
    yaml_parser_delete(&y.parser);
    return e;
}

static bool looks_like_yaml(struct str path, struct str text)
{
    struct str t = str_trim(text);
    if (str_ends(path, S(".yaml")) || str_ends(path, S(".yml")))
        return true;
    return !str_ends(path, S(".json")) && t.n > 0 && t.p[0] != '{' && t.p[0] != '[';
}

int rule_file_json(struct arena *a, struct str path, struct str text, struct str *ret_json,
                   struct buf *ret_error)
{
    yyjson_doc *doc;
    struct json_error fault;
    struct str json = text;
    int e = looks_like_yaml(path, text) ? from_yaml(a, text, &json, ret_error) : 0;
    if (e < 0)
        return e;
    e = json_parse(json, &doc, &fault);
    if (e < 0) {
        size_t line = 1;
        for (size_t i = 0; i < fault.offset && i < json.n; i++)
            line += json.p[i] == '\n';
        buf_addf(ret_error, "line %zu: not valid JSON at byte %zu: %s", line, fault.offset,
                 fault.reason);
        return e;
    }
    yyjson_doc_free(doc);
    *ret_json = arena_str(a, json);
    return 0;
}
