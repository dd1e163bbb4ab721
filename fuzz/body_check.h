/*
 * body_check.h - what must hold for a body that was put together of valid pieces.
 */
#ifndef BODY_CHECK_H
#define BODY_CHECK_H

#include "json.h"

/* A JSON object.  Pieces that each fit may be nested too deeply together. */
static inline void body_check(struct str text)
{
    yyjson_doc *doc;
    struct json_error error;
    if (json_parse(text, &doc, &error) < 0) {
        must(str_eq(str_of(error.reason), S("nested too deeply")));
        return;
    }
    must(yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
}

#endif
