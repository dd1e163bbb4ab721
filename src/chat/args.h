/*
 * args.h - arguments of calls (C1.7).
 *
 * Contract
 *   Ownership  results are slices of the input or live in the arena.
 *   Bytes      a valid object is kept as it is written but for white space between tokens; nothing
 * is repaired.
 */
#ifndef ARGS_H
#define ARGS_H

#include "arena.h"
#include "chat.h"
#include "str.h"

/* Whatever stands for arguments -> one JSON object, compacted. */
struct str args_object(struct arena *a, struct str arguments);
/* Of its result: was there no object, so that the text itself went into one? */
bool args_were_raw(struct str object);
/* Any value of `input` (raw, or empty: absent) -> the text of arguments. */
struct str args_text(struct arena *a, struct str raw_input);
/* {"input":text} */
struct str args_wrap(struct arena *a, struct str text);
/* A custom tool's text out of an upstream's arguments. */
struct str args_unwrap(struct arena *a, struct str arguments);
/* The member "value" of an object, raw; the object itself when it has none. */
struct str args_unwrap_value(struct arena *a, struct str arguments);

/* Is what came so far one complete JSON value?  Zero a struct, feed pieces (inside of a JSON
 * string: escaped once); for arguments that arrive in pieces. */
struct args_scan {
    int depth;
    bool in_string, escaped, begun, complete;
};
void args_scan_feed(struct args_scan *s, struct text piece);

#endif
