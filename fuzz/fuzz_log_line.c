/*
 * A client's bytes in a log line.  The first byte chooses the format, the rest is the text.
 * Invariants: one line, whatever is in it; the JSON form is JSON and says the text as it was where
 * that is UTF-8.
 */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "log_line.h"

static bool is_utf8(struct str s)
{
    struct buf quoted;
    buf_init(&quoted, SIZE_MAX);
    json_write_str(&quoted, s);
    bool same = !str_contains(buf_str(&quoted), S("\xef\xbf\xbd")) &&
                !str_contains(buf_str(&quoted), S("\\ufffd"));
    buf_done(&quoted);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    struct str text = { (const char *)bytes + 1, n - 1 };
    struct log_field fields[] = { F("path", text), F("again", text) };
    struct log_line line = { LOG_INFO, "test", "event", 1790000000000, fields, 2 };
    struct buf out;
    buf_init(&out, SIZE_MAX);
    enum log_format format = (bytes[0] & 1) != 0 ? LOG_JSON : LOG_CONSOLE;
    log_line_add(format, &line, &out);
    must(!out.overflow);
    must(str_index(buf_str(&out), '\n') == buf_len(&out) - 1);
    if (format == LOG_JSON) {
        yyjson_doc *doc;
        must(json_parse(str_trim(buf_str(&out)), &doc, NULL) == 0);
        struct str read = json_member_str(yyjson_doc_get_root(doc), S("path"));
        must(!is_utf8(text) || str_eq(read, text));
        yyjson_doc_free(doc);
    }
    buf_done(&out);
    return 0;
}
