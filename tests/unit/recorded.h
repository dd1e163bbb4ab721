/*
 * recorded.h - streams of real vendors, and what their SDKs read from them.  They are not part of
 * the repository; where they are absent the test is skipped.
 */
#ifndef RECORDED_H
#define RECORDED_H

#include "unit.h"

#include <stdbool.h>
#include <stdio.h>

#include "buf.h"
#include "json.h"
#include "protocol.h"

static inline bool recorded_read(struct str name, struct buf *out)
{
    char path[512], piece[4096];
    snprintf(path, sizeof(path), "../shared/recorded/" STR_FMT, STR_ARG(name));
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(out, (struct str){ piece, n });
    fclose(file);
    return true;
}

static inline enum protocol recorded_protocol(struct str name)
{
    return str_starts(name, S("an-"))   ? PROTOCOL_MESSAGES
           : str_starts(name, S("oc-")) ? PROTOCOL_CHAT
                                        : PROTOCOL_RESPONSES;
}

/* False: this stream is not for the test. */
typedef bool recorded_check(enum protocol protocol, struct str stream, yyjson_val *want);

/* One line of expect.jsonl; whether it was checked. */
static inline bool recorded_line(yyjson_val *want, recorded_check *check)
{
    struct str name = json_member_str(want, S("file"));
    struct buf stream;
    if (!str_ends(name, S(".sse")))
        return false;
    buf_init(&stream, SIZE_MAX);
    assert_true(recorded_read(name, &stream));
    bool checked = check(recorded_protocol(name), buf_str(&stream), want);
    buf_done(&stream);
    return checked;
}

static inline void recorded_each(recorded_check *check)
{
    struct buf lines;
    buf_init(&lines, SIZE_MAX);
    if (!recorded_read(S("expect.jsonl"), &lines))
        skip();
    struct str rest = buf_str(&lines), line;
    size_t n = 0;
    while (str_next(&rest, '\n', &line)) {
        yyjson_doc *doc;
        assert_int_equal(json_parse(line, &doc, NULL), 0);
        n += recorded_line(yyjson_doc_get_root(doc), check);
        yyjson_doc_free(doc);
    }
    assert_true(n > 0);
    buf_done(&lines);
}

#endif
